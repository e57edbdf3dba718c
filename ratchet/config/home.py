"""Secrets of the embedded mode: generated once into RATCHET_HOME, readable by its owner only."""

import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import SecretStr

from ratchet.config.problems import ConfigurationError, setting_name
from ratchet.config.sources import read_secret_file

if TYPE_CHECKING:
    from ratchet.config.settings import Settings

GENERATED = ("webhook_token", "api_token", "openalgo_api_key")


def with_generated_secrets(settings: "Settings") -> "Settings":
    """Return the settings with each missing secret read from RATCHET_HOME, made there if it is the first start.

    The broker's key is generated for the simulator only.
    Raises ConfigurationError if the folder cannot be written.
    """
    wanted = [name for name in GENERATED if getattr(settings, name) is None]
    if not settings.broker_is_simulator and "openalgo_api_key" in wanted:
        wanted.remove("openalgo_api_key")
    try:
        values = {name: SecretStr(_read_or_make(settings.home / name)) for name in wanted}
    except (OSError, ValueError) as error:
        name = setting_name("home")
        raise ConfigurationError(
            [f"{name}: cannot keep tokens in {settings.home} ({error}): choose another folder"]
        ) from error
    return settings.model_copy(update=values)


def _read_or_make(path: Path) -> str:
    """Return the secret in `path`; of several processes that start at once, one makes it and all read it."""
    if not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
        descriptor = os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(secrets.token_urlsafe(32) + "\n")
            try:
                os.link(draft, path)
            except FileExistsError:
                pass
        finally:
            draft.unlink()
    return read_secret_file(path)
