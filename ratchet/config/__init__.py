"""Settings and the portfolio file: read once at start, checked together, frozen.

Belongs here: every setting with its unit and default, the checks between them, the instruments and limits as YAML, and
the only use of the process environment. Does not belong here: anything that acts on a setting.
"""

from ratchet.config.problems import ConfigurationError
from ratchet.config.settings import Settings, load_settings

__all__ = ["ConfigurationError", "Settings", "load_settings"]
