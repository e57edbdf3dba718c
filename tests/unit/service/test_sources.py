"""Whose address counts, behind which proxies."""

from ipaddress import ip_network
from typing import Any

import pytest

from service.sources import UNKNOWN, Sources


def scope(peer: str | None, *forwarded: str) -> dict[str, Any]:
    headers = [(b"host", b"x"), *((b"x-forwarded-for", value.encode("latin-1")) for value in forwarded)]
    return {"client": None if peer is None else (peer, 50000), "headers": headers}


def sources(*, allowed: tuple[str, ...] = (), trusted: tuple[str, ...] = ()) -> Sources:
    return Sources(allowed=[ip_network(item) for item in allowed], trusted=[ip_network(item) for item in trusted])


@pytest.mark.parametrize(
    ("peer", "forwarded", "source"),
    [
        ("9.9.9.9", ("1.2.3.4",), "9.9.9.9"),
        ("10.0.0.1", (), "10.0.0.1"),
        ("10.0.0.1", ("1.2.3.4",), "1.2.3.4"),
        ("10.0.0.1", ("6.6.6.6, 1.2.3.4",), "1.2.3.4"),
        ("10.0.0.1", ("6.6.6.6, 1.2.3.4, 10.0.0.7",), "1.2.3.4"),
        ("10.0.0.1", ("6.6.6.6", "1.2.3.4"), "1.2.3.4"),
        ("10.0.0.1", ("10.0.0.9, 10.0.0.8",), "10.0.0.9"),
        ("10.0.0.1", ("1.2.3.4:5678",), "1.2.3.4"),
        ("10.0.0.1", ("[2001:db8::1]:5678",), "2001:db8::1"),
        ("10.0.0.1", ("::ffff:1.2.3.4",), "1.2.3.4"),
        ("10.0.0.1", ("1.2.3.4, nonsense",), "10.0.0.1"),
        ("10.0.0.1", ("",), "10.0.0.1"),
        ("10.0.0.1", ("\xff\x00, ,,",), "10.0.0.1"),
        ("::ffff:10.0.0.1", ("1.2.3.4",), "1.2.3.4"),
        (None, ("1.2.3.4",), UNKNOWN),
    ],
)
def test_only_what_trusted_proxies_have_added_is_believed(
    peer: str | None, forwarded: tuple[str, ...], source: str
) -> None:
    assert sources(trusted=("10.0.0.0/8",)).of(scope(peer, *forwarded)) == source


def test_without_trusted_proxies_the_peer_counts() -> None:
    assert sources().of(scope("10.0.0.1", "1.2.3.4")) == "10.0.0.1"


def test_an_empty_allow_list_lets_everyone_send() -> None:
    assert sources().may_send("9.9.9.9")
    assert sources().may_send(UNKNOWN)


@pytest.mark.parametrize(
    ("source", "may"),
    [("52.89.214.238", True), ("10.9.9.9", True), ("::ffff:10.9.9.9", True), ("9.9.9.9", False), (UNKNOWN, False)],
)
def test_an_allow_list_lets_its_networks_send(source: str, may: bool) -> None:
    assert sources(allowed=("52.89.214.238/32", "10.0.0.0/8")).may_send(source) is may


def test_an_ipv6_caller_is_counted_by_its_network() -> None:
    named = sources().name
    assert named("2001:db8:1:2::1") == named("2001:db8:1:2:ffff::9")
    assert named("2001:db8:1:2::1") != named("2001:db8:1:3::1")
    assert named("1.2.3.4") == "1.2.3.4"
