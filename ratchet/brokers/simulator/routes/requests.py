"""Reading admin requests: one field at a time, with errors that name the field."""

import json
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation


class BadRequestError(Exception):
    """An admin request that cannot be carried out; the text names the field."""


def parsed(raw: bytes) -> object:
    """Return the JSON of a body, fractions as Decimal. Raises BadRequestError."""
    try:
        return json.loads(raw or b"{}", parse_float=Decimal, parse_constant=Decimal)
    except ValueError as broken:
        raise BadRequestError(f"body: not JSON: {broken}") from broken


class Fields:
    """An object's fields. Those that nobody has asked for are refused at the end by `done`."""

    def __init__(self, value: object, where: str = "body") -> None:
        """Take an object. Raises BadRequestError for anything else."""
        if not isinstance(value, dict):
            raise BadRequestError(f"{where}: must be an object")
        self._fields: Mapping[str, object] = value
        self._where = where
        self._asked: set[str] = set()

    def given(self, name: str) -> object:
        """Return a field as it is, None if it is absent."""
        self._asked.add(name)
        return self._fields.get(name)

    def text(self, name: str, default: str | None = None) -> str:
        """Return a text field. Raises BadRequestError if it is absent and has no default."""
        value = self.given(name)
        if value is None and default is not None:
            return default
        if not isinstance(value, str):
            raise BadRequestError(f"{name}: must be text")
        return value

    def optional_text(self, name: str) -> str | None:
        """Return a text field, None if it is absent."""
        return None if self.given(name) is None else self.text(name)

    def number(self, name: str) -> Decimal:
        """Return a number, also from text."""
        value = self.given(name)
        try:
            if isinstance(value, bool) or not isinstance(value, int | str | Decimal):
                raise InvalidOperation
            number = Decimal(value)
        except InvalidOperation:
            raise BadRequestError(f"{name}: must be a number") from None
        if not number.is_finite():
            raise BadRequestError(f"{name}: must be finite")
        return number

    def optional_number(self, name: str) -> Decimal | None:
        """Return a number, None if it is absent."""
        return None if self.given(name) is None else self.number(name)

    def flag(self, name: str, default: bool | None = None) -> bool:
        """Return a boolean."""
        value = self.given(name)
        if value is None and default is not None:
            return default
        if not isinstance(value, bool):
            raise BadRequestError(f"{name}: must be true or false")
        return value

    def rows(self, name: str) -> list[object]:
        """Return a list, empty if it is absent."""
        value = self.given(name)
        if value is None:
            return []
        if not isinstance(value, list):
            raise BadRequestError(f"{name}: must be a list")
        return value

    def done(self) -> None:
        """Raise BadRequestError if the object has fields that nobody has asked for."""
        unknown = sorted(set(self._fields) - self._asked)
        if unknown:
            raise BadRequestError(f"{self._where}: unknown field {unknown[0]}")
