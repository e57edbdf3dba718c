"""The soak: whole installations of real processes, hurt on a schedule that a seed draws, healed, and then audited."""
