"""What is wrong with a configuration, all of it at once, in words that name the setting and the fix."""

from collections.abc import Sequence

from pydantic import ValidationError

ENV_PREFIX = "RATCHET_"


class ConfigurationError(Exception):
    """The configuration cannot be used; `problems` has one sentence for each fault."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(["the configuration cannot be used:", *(f"  - {line}" for line in problems)]))
        self.problems = tuple(problems)


def setting_name(*path: str | int) -> str:
    """Return the environment variable that sets the field at `path`."""
    return ENV_PREFIX + "__".join(str(part) for part in path).upper()


def problems_of_settings(error: ValidationError) -> list[str]:
    """Return one sentence per fault that validation of the settings found; input values are not repeated."""
    return [_sentence(setting_name(*item["loc"]) if item["loc"] else "", item["msg"]) for item in error.errors()]


def problems_of_file(file_name: str, error: ValidationError) -> list[str]:
    """Return one sentence per fault that validation of a YAML file found."""
    return [
        _sentence(f"{file_name}: {'.'.join(str(part) for part in item['loc'])}", item["msg"]) for item in error.errors()
    ]


def _sentence(name: str, message: str) -> str:
    text = message.removeprefix("Value error, ").removeprefix("Assertion failed, ")
    return f"{name}: {text}" if name else text
