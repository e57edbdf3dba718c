import random
from typing import Any

import pytest

from ratchet.brokers.simulator.faults import BOOKED_BY_DEFAULT, Chaos, Fault, FaultKind, FaultScript, Match, Rule


def rule(kind: FaultKind = FaultKind.SLOW, endpoint: str = "placeorder", **changes: Any) -> Rule:
    fields: dict[str, Any] = {
        "endpoint": endpoint,
        "fault": Fault(kind=kind, booked=kind in BOOKED_BY_DEFAULT),
        "match": Match(),
        "left": 1,
        "probability": 1.0,
        "chance": random.Random(1),
    }
    return Rule(**(fields | changes))


def taken(
    script: FaultScript, endpoint: str = "placeorder", account: str = "", symbol: str = "S", side: str = "BUY"
) -> list[FaultKind]:
    return [fault.kind for fault in script.take(endpoint, account, symbol, side)]


def test_a_rule_fires_as_often_as_it_says_and_is_gone() -> None:
    script = FaultScript()
    script.rules.append(rule(left=2))
    assert [taken(script) for _ in range(3)] == [[FaultKind.SLOW], [FaultKind.SLOW], []]
    assert script.rules == []
    assert script.fired == {"slow": 2}


@pytest.mark.parametrize("match", [Match(symbol="T"), Match(side="SELL"), Match(account="a")])
def test_a_call_that_does_not_match_leaves_the_rule_unused(match: Match) -> None:
    script = FaultScript()
    script.rules.append(rule(match=match))
    assert taken(script) == []
    assert taken(script, account="a", symbol="T", side="SELL") == [FaultKind.SLOW]


def test_a_fault_hits_only_endpoints_that_it_suits() -> None:
    script = FaultScript()
    script.rules.append(rule(FaultKind.BOOK_500, endpoint="*"))
    assert taken(script, "placeorder") == []
    assert taken(script, "orderbook") == [FaultKind.BOOK_500]


def test_the_same_seed_gives_the_same_chaos() -> None:
    def run(seed: int) -> list[str]:
        chaos = Chaos(seed=seed, rates={FaultKind.SLOW: 0.2, FaultKind.GATEWAY_502: 0.3}, max_hang_seconds=1)
        return [repr(chaos.draw("placeorder")) for _ in range(200)]

    assert run(7) == run(7)
    assert run(7) != run(8)
    assert any("GATEWAY_502" in text for text in run(7))


def test_chaos_keeps_to_its_endpoints_and_its_longest_hang() -> None:
    chaos = Chaos(seed=3, rates={FaultKind.SLOW: 1.0}, max_hang_seconds=2, endpoints=frozenset({"placeorder"}))
    assert chaos.draw("quotes") is None
    drawn = [chaos.draw("placeorder") for _ in range(100)]
    assert all(fault is not None and 0 <= fault.seconds <= 2 for fault in drawn)
