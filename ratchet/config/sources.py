"""Where settings come from besides the environment: secret files, a YAML file, and the presets."""

import os
from pathlib import Path
from typing import Any

import yaml
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from ratchet.config import presets
from ratchet.config.problems import ConfigurationError, setting_name

SECRETS = (
    "database_url",
    "database_replica_url",
    "redis_url",
    "openalgo_api_key",
    "webhook_token",
    "webhook_token_previous",
    "api_token",
    "api_token_previous",
)
"""Top-level settings that are never printed and may be given as a file by the name with `_FILE`."""


class ExactLoader(yaml.SafeLoader):
    """Leaves numbers with a fraction as text, so that no binary float stands between the file and a Decimal."""


ExactLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:float"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


class _Source(PydanticBaseSettingsSource):
    """A source that delivers its whole tree in `__call__`."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """Deliver nothing field by field."""
        return None, field_name, False


class SecretFiles(_Source):
    """Secrets from the files that `RATCHET_..._FILE` name; the end of the line is not part of the secret."""

    def __call__(self) -> dict[str, Any]:
        """Return the secrets. Raises ConfigurationError for an unreadable file or a secret given twice."""
        found: dict[str, Any] = {}
        problems: list[str] = []
        for field_name in SECRETS:
            name = setting_name(field_name)
            path = os.environ.get(f"{name}_FILE")
            if not path:
                continue
            if os.environ.get(name):
                problems.append(f"{name} and {name}_FILE are both set: keep one")
                continue
            try:
                found[field_name] = read_secret_file(Path(path))
            except OSError as error:
                problems.append(f"{name}_FILE: {path} cannot be read ({error.strerror}): mount it or fix the path")
            except ValueError as error:
                problems.append(f"{name}_FILE: {path} {error}")
        if problems:
            raise ConfigurationError(problems)
        return found


class YamlFile(_Source):
    """The tree in the file that RATCHET_CONFIG_FILE names; weaker than the environment."""

    def __call__(self) -> dict[str, Any]:
        """Return the tree. Raises ConfigurationError if the file cannot be read or is no mapping."""
        path = self.current_state.get("config_file")
        if not path:
            return {}
        tree = read_yaml(Path(path), setting_name("config_file"))
        secrets = [name for name in SECRETS if name in tree]
        if secrets:
            raise ConfigurationError([f"{path}: {name} is a secret: set {setting_name(name)}_FILE" for name in secrets])
        return tree


class Presets(_Source):
    """The values of the embedded mode and of the chosen preset; weaker than everything a person sets."""

    def __init__(self, settings_class: type[BaseSettings]) -> None:
        super().__init__(settings_class)

    def __call__(self) -> dict[str, Any]:
        """Return the values that replace defaults."""
        embedded = presets.EMBEDDED if not self.current_state.get("database_url") else {}
        chosen = presets.CHOSEN.get(self.current_state.get("preset"), {})
        return presets.merged(embedded, chosen)


def read_secret_file(path: Path) -> str:
    """Return the secret in `path`. Raises OSError, or ValueError if it is empty or not text."""
    try:
        secret = path.read_text(encoding="utf-8").strip()
    except UnicodeDecodeError as error:
        raise ValueError("is not text in UTF-8") from error
    if not secret:
        raise ValueError("is empty")
    return secret


def read_yaml(path: Path, named_by: str) -> dict[str, Any]:
    """Return the mapping in a YAML file. Raises ConfigurationError with what is wrong and which setting named it."""
    try:
        tree = yaml.load(path.read_text(encoding="utf-8"), ExactLoader)
    except OSError as error:
        raise ConfigurationError([f"{named_by}: {path} cannot be read ({error.strerror}): fix the path"]) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigurationError([f"{named_by}: {path} is not valid YAML: {error}"]) from error
    if not isinstance(tree, dict):
        raise ConfigurationError([f"{named_by}: {path} must hold a mapping of names to values"])
    return tree
