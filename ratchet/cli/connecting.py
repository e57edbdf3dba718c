"""Where a command finds the service, and with which token."""

from __future__ import annotations

import argparse

from ratchet.cli.api import Api
from ratchet.cli.exits import Exit
from ratchet.cli.output import CommandFailed
from ratchet.config import Settings, load_settings

TOKENLESS = "no API token: set RATCHET_API_TOKEN, or RATCHET_HOME to the folder of the service that runs here"


def add_url(parser: argparse.ArgumentParser) -> None:
    """Add --url."""
    parser.add_argument(
        "--url",
        metavar="URL",
        help="the service's address (default: RATCHET_URL, else this machine at RATCHET_HTTP_PORT)",
    )


def connect(args: argparse.Namespace) -> Api:
    """Return the service that the command line or the settings name. Raises CommandFailed."""
    return connect_all([args.url] if args.url else [])[0]


def connect_all(urls: list[str]) -> list[Api]:
    """Return the services at these addresses; none given: the one that the settings name. Raises CommandFailed."""
    settings = load_settings(require_tokens=False)
    if settings.api_token is None:
        raise CommandFailed(TOKENLESS, Exit.CONFIGURATION)
    token = settings.api_token.get_secret_value()
    return [Api(url, token) for url in urls or [service_url(settings)]]


def service_url(settings: Settings) -> str:
    """Return the address of the service: RATCHET_URL, else this machine."""
    return settings.url or f"http://127.0.0.1:{settings.http_port or 8080}"
