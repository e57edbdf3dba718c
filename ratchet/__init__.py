"""Ratchet: trading signals executed exactly once."""

__version__ = "0.1.0"
