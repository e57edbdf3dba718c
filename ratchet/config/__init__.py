"""Settings and the portfolio file: read once at start, checked together, frozen.

Belongs here: every setting with its unit and default, the checks between them, the instruments and limits as YAML, and
the only use of the process environment. Does not belong here: anything that acts on a setting.
"""

from ratchet.config.portfolio import LoadedPortfolio, load_portfolio
from ratchet.config.problems import ConfigurationError
from ratchet.config.reference import describe
from ratchet.config.settings import Settings, load_settings

__all__ = ["ConfigurationError", "LoadedPortfolio", "Settings", "describe", "load_portfolio", "load_settings"]
