"""The settings in words: the reference page made from the fields themselves, and the present values without secrets."""

from collections.abc import Iterator
from enum import Enum
from typing import Any

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings

from ratchet.config import presets
from ratchet.config.problems import setting_name
from ratchet.config.settings import Settings
from ratchet.config.sources import SECRETS

UNITS = {
    "_seconds": "s",
    "_bytes": "bytes",
    "_days": "days",
    "_months": "months",
    "_per_second": "1/s",
    "_per_minute": "1/min",
}

HEADING = """# Settings

Made from the code by `python -m ratchet.config`; do not edit.

Each setting is an environment variable. It can also stand in a YAML file that `RATCHET_CONFIG_FILE` names, in lower
case and without the prefix (`http: {host: 0.0.0.0}`); the environment is stronger. A secret can be given as a file:
`RATCHET_WEBHOOK_TOKEN_FILE=/run/secrets/token`. Lists are separated by commas. Settings are read once, at start, and
checked together by `ratchet config check`; `ratchet config show` prints what holds, without secrets.
"""


def describe(settings: Settings) -> dict[str, str]:
    """Return every setting with its present value as text; a secret only says whether it is set."""
    return dict(_values(settings, ()))


def markdown() -> str:
    """Return the reference page."""
    parts = [HEADING, "## Top level\n", _table(Settings, (), skip_sections=True)]
    for field_name, field in Settings.model_fields.items():
        section = _section(field)
        if section is not None:
            parts += [f"## {field_name}\n", f"{(section.__doc__ or '').strip()}\n", _table(section, (field_name,))]
    parts += ["## What the embedded mode changes\n", _preset_table(presets.EMBEDDED)]
    parts += ["## What RATCHET_PRESET=fast changes\n", _preset_table(presets.FAST)]
    parts += ["## What RATCHET_PRESET=test changes\n", "Refused unless the broker is the simulator.\n"]
    parts += [_preset_table(presets.TEST)]
    return "\n".join(parts)


def _values(branch: BaseModel, path: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    for field_name, value in branch:
        if isinstance(value, BaseModel):
            yield from _values(value, (*path, field_name))
        elif not path and field_name in SECRETS:
            yield setting_name(field_name), "not set" if value is None else "set (hidden)"
        else:
            yield setting_name(*path, field_name), _text(value)


def _text(value: Any) -> str:
    match value:
        case None | "" | ():
            return "not set"
        case SecretStr():
            return "set (hidden)"
        case Enum():
            return str(value.value)
        case bool():
            return str(value).lower()
        case float():
            return f"{value:g}"
        case tuple():
            return ",".join(_text(item) for item in value)
        case _:
            return str(value)


def _section(field: FieldInfo) -> type[BaseModel] | None:
    kind = field.annotation
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def _table(branch: type[BaseModel] | type[BaseSettings], path: tuple[str, ...], *, skip_sections: bool = False) -> str:
    rows = ["| setting | default | unit | meaning |", "|---|---|---|---|"]
    for field_name, field in branch.model_fields.items():
        if skip_sections and _section(field) is not None:
            continue
        unit = next((unit for suffix, unit in UNITS.items() if suffix in field_name), "")
        name = setting_name(*path, field_name)
        meaning = " ".join((field.description or "").split()).replace("|", "\\|")
        rows.append(f"| `{name}` | {_text(field.get_default())} | {unit} | {meaning} |")
    return "\n".join(rows) + "\n"


def _preset_table(preset: Any) -> str:
    rows = ["| setting | value |", "|---|---|"]
    for section, values in preset.items():
        rows += [f"| `{setting_name(section, key)}` | {_text(value)} |" for key, value in values.items()]
    return "\n".join(rows) + "\n"
