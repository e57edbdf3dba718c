"""The messages that `ratchet send` makes."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from ratchet.brokers.simulator.contracts import UNDERLYINGS
from ratchet.cli.samples import MARKETS, Message, base_entry, priced, samples
from ratchet.domain.signals import SignalKind
from ratchet.domain.webhook import parse

AT = datetime(2027, 1, 11, 5, 30, 7, 999_000, tzinfo=UTC)


def wire(message: Message) -> bytes:
    """Return a message as it is sent."""
    return json.dumps(message.body).encode()


def test_there_is_one_valid_sample_of_each_kind_for_each_instrument() -> None:
    parsed = [parse(wire(message)).signal for message in samples(AT)]
    assert sorted((s.instrument, s.kind) for s in parsed) == sorted(
        (market.instrument, kind) for market in MARKETS for kind in SignalKind
    )


def test_a_sample_is_identified_as_the_service_identifies_it() -> None:
    for message in samples(AT):
        assert message.fingerprint == parse(wire(message)).signal.fingerprint


def test_samples_are_stamped_to_the_second_and_never_ahead() -> None:
    now = AT.replace(microsecond=0)
    for message in samples(AT):
        assert now - timedelta(seconds=1) <= message.stamp <= now


def test_the_exit_of_a_second_layer_overtakes_no_pyramid() -> None:
    stamps = {(m.instrument, m.kind, m.layer): m.stamp for m in samples(AT)}
    for market in MARKETS:
        leaving = stamps.get((market.instrument, SignalKind.EXIT, "Long_2"))
        pyramid = stamps[market.instrument, SignalKind.PYRAMID, "Long_2"]
        assert (leaving is None) == (market.instrument == "COPPER")
        assert leaving is None or leaving < pyramid


def test_the_samples_prices_are_those_that_the_simulator_starts_with() -> None:
    assert sorted(market.price for market in MARKETS) == sorted(underlying.price for underlying in UNDERLYINGS)


def test_another_price_keeps_the_stop_as_far_away() -> None:
    moved = next(m for m in priced({"COPPER": Decimal("921.5")}) if m.instrument == "COPPER")
    body = base_entry(moved, AT).body
    assert (body["price"], body["stop"]) == ("921.5", "914.3")


def test_a_price_of_an_unknown_instrument_is_refused() -> None:
    with pytest.raises(KeyError):
        priced({"TIN": Decimal(1)})
