"""Who calls: the address behind the proxies that we trust, and whether it may send signals."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from service.asgi import Scope

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

UNKNOWN = "unknown"
"""Stands for a peer without an address, such as a Unix socket."""

_REMEMBERED = 4096


class Sources:
    """Finds a request's source. Source: docs/domain.md, section 2.1.

    allowed: networks that may send signals, empty = everyone. trusted: proxies whose X-Forwarded-For is believed; it is
    read from its end, because anything to the left of the first untrusted address may be invented.
    """

    def __init__(self, *, allowed: Iterable[Network], trusted: Iterable[Network]) -> None:
        self._allowed = tuple(allowed)
        self._trusted = tuple(trusted)
        self.name = lru_cache(_REMEMBERED)(_name)
        self._may_send = lru_cache(_REMEMBERED)(self._is_allowed)

    def of(self, scope: Scope) -> str:
        """Return the address that a request comes from, as text."""
        client = scope.get("client")
        peer: str = client[0] if client else UNKNOWN
        if not self._trusted:
            return peer
        return self._behind_proxies(peer, scope["headers"])

    def may_send(self, source: str) -> bool:
        """Whether signals are taken from this address."""
        return not self._allowed or self._may_send(source)

    def _behind_proxies(self, peer: str, headers: Iterable[tuple[bytes, bytes]]) -> str:
        if not _within(_parsed(peer), self._trusted):
            return peer
        forwarded = b",".join(value for name, value in headers if name == b"x-forwarded-for")
        source = peer
        for part in reversed(forwarded.decode("latin-1").split(",")):
            address = _parsed(part)
            if address is None:
                break
            source = str(address)
            if not _within(address, self._trusted):
                break
        return source

    def _is_allowed(self, source: str) -> bool:
        return _within(_parsed(source), self._allowed)


def _name(source: str) -> str:
    """Return the name under which a source is counted: an IPv6 caller owns its whole /64."""
    address = _parsed(source)
    if isinstance(address, IPv6Address):
        return str(IPv6Network((address, 64), strict=False).network_address)
    return source


def _within(address: Address | None, networks: Iterable[Network]) -> bool:
    return address is not None and any(address in network for network in networks)


def _parsed(text: str) -> Address | None:
    """Return the address in `text`, which may carry a port; None if there is none. IPv4 in IPv6 is read as IPv4."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address
