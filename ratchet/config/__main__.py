"""`python -m ratchet.config` prints the settings reference as markdown."""

from ratchet.config.reference import markdown

print(markdown())
