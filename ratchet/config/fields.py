"""Field types that several sections share."""

from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_settings import NoDecode


class Section(BaseModel):
    """A branch of the settings tree: frozen, no unknown names, the text below a field is its documentation."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)


def _split(value: Any) -> Any:
    """Read `a, b` as two items; a YAML or JSON list passes unchanged."""
    if isinstance(value, str):
        return tuple(item for item in value.strip("[] ").replace('"', "").replace(",", " ").split() if item)
    return value


def _networks(value: Any) -> Any:
    return tuple(ip_network(item) if isinstance(item, str) else item for item in _split(value))


Seconds = Annotated[float, Field(gt=0)]
"""A duration of the monotonic clock, more than zero."""

SecondsOrZero = Annotated[float, Field(ge=0)]

Count = Annotated[int, Field(ge=1)]

Networks = Annotated[tuple[IPv4Network | IPv6Network, ...], NoDecode, BeforeValidator(_networks)]
"""Addresses or networks, separated by commas."""

Schedule = Annotated[tuple[Seconds, ...], NoDecode, BeforeValidator(_split), Field(min_length=1)]
"""Waits in seconds, separated by commas; the last one repeats."""

Port = Annotated[int, Field(ge=0, le=65535)]
"""A TCP port; 0 takes a free one."""
