"""Errors that no order is involved in: schema, key, session, limits, transport."""

from typing import Any

import pytest

from ratchet.brokers.simulator import Mode
from ratchet.brokers.simulator.routes.table import ENDPOINTS
from tests.simulator.desk import KEY, Desk, open_desk

AS_TEXT = ["placeorder", "modifyorder", "cancelorder", "orderstatus", "openposition", "analyzer"]
AS_OBJECT = [
    "orderbook",
    "tradebook",
    "positionbook",
    "funds",
    "ping",
    "quotes",
    "symbol",
    "expiry",
    "market/holidays",
    "market/timings",
]
SESSION_LOST = {"status": "error", "message": "Invalid openalgo apikey"}


def test_every_endpoint_is_in_one_of_the_lists_of_this_file() -> None:
    assert {*AS_TEXT, *AS_OBJECT, "optionsymbol"} == set(ENDPOINTS)


@pytest.mark.parametrize("endpoint", AS_TEXT)
async def test_schema_errors_of_order_endpoints_are_a_dict_as_text(live: Desk, endpoint: str) -> None:
    status, body = await live.call(endpoint, tag="x")
    assert status == 400
    assert body["status"] == "error"
    assert body["message"].startswith("{'") and "'tag': ['Unknown field.']" in body["message"]
    assert "mode" not in body


@pytest.mark.parametrize("endpoint", AS_TEXT)
async def test_in_the_sandbox_schema_errors_carry_the_mode_but_for_three(sandbox: Desk, endpoint: str) -> None:
    _, body = await sandbox.call(endpoint, tag="x")
    assert body.get("mode") == (None if endpoint in ("placeorder", "analyzer") else "analyze")


@pytest.mark.parametrize("endpoint", AS_OBJECT)
async def test_schema_errors_of_data_endpoints_are_an_object(either: Desk, endpoint: str) -> None:
    status, body = await either.call(endpoint, tag="x")
    assert status == 400
    assert body["message"]["tag"] == ["Unknown field."]
    assert "mode" not in body


async def test_schema_errors_of_option_endpoints_stand_beside_the_message(live: Desk) -> None:
    status, body = await live.call("optionsymbol", tag="x")
    assert (status, body["message"]) == (400, "Validation error")
    assert body["errors"]["tag"] == ["Unknown field."]


@pytest.mark.parametrize("key", ["wrong", f"{KEY}-", f"x{KEY}", KEY.upper()])
async def test_a_wrong_key_is_forbidden(live: Desk, key: str) -> None:
    assert await live.call("funds", key=key) == (403, SESSION_LOST)


async def test_a_lost_session_looks_like_a_wrong_key_until_it_is_renewed(either: Desk) -> None:
    await either.admin("session", {"alive": False})
    assert await either.call("ping") == (403, SESSION_LOST)
    assert await either.try_to_place() == (403, SESSION_LOST)
    assert await either.ghosts() == []
    await either.admin("session", {"alive": True})
    assert (await either.call("ping"))[0] == 200


async def test_the_session_dies_at_three_in_the_morning_when_so_set() -> None:
    async with open_desk(daily_logout=True) as desk:
        await desk.clock.advance(16.4 * 3600)
        assert (await desk.call("ping"))[0] == 200
        await desk.clock.advance(0.2 * 3600)
        assert (await desk.call("ping"))[0] == 403
        await desk.admin("session", {"alive": True})
        assert (await desk.call("ping"))[0] == 200


async def test_calls_over_the_limit_get_a_bare_429_per_endpoint_until_a_second_has_passed() -> None:
    async with open_desk(rate_limits=True) as desk:
        statuses = [(await desk.try_to_place())[0] for _ in range(12)]
        assert statuses == [200] * 10 + [429] * 2
        body = {"apikey": KEY}
        async with desk.http.post(f"{desk.server.url}/api/v1/placeorder", json=body) as response:
            assert response.status == 429
            assert "Retry-After" not in response.headers
            assert await response.json() == {"message": "10 per 1 second"}
        assert (await desk.call("cancelorder", strategy="", orderid="1"))[0] == 500
        assert [(await desk.call("ping"))[0] for _ in range(51)] == [200] * 50 + [429]
        assert (await desk.try_to_place(key=f"{KEY}-other"))[0] == 200
        await desk.clock.advance(1.0)
        assert (await desk.try_to_place())[0] == 200


async def test_limits_can_be_raised() -> None:
    async with open_desk(rate_limits=True, orders_per_second=3) as desk:
        assert [(await desk.try_to_place())[0] for _ in range(4)] == [200, 200, 200, 429]


async def raw(desk: Desk, body: bytes, content_type: str = "application/json", method: str = "POST") -> Any:
    url = f"{desk.server.url}/api/v1/placeorder"
    async with desk.http.request(method, url, data=body, headers={"Content-Type": content_type}) as response:
        return response.status, await response.json()


async def test_broken_bodies_have_their_own_answers(live: Desk) -> None:
    assert (await raw(live, b"{"))[0] == 400
    assert "status" not in (await raw(live, b"{"))[1]
    assert (await raw(live, b"\xff\xfe"))[0] == 400
    assert await raw(live, b"[]") == (500, {"message": "Internal Server Error"})
    status, body = await raw(live, b'{"apikey": "x"}', "text/plain")
    assert (status, body["status"]) == (500, "error")


@pytest.mark.parametrize(
    "fields",
    [
        {"quantity": "1e400"},
        {"quantity": 10**30},
        {"price": "-1e-400", "pricetype": "LIMIT"},
        {"strategy": "\ud800"},
        {"symbol": "\x00"},
        {"symbol": {"a": 1}},
        {"exchange": ["NFO"]},
    ],
)
async def test_no_value_of_a_field_upsets_the_server(either: Desk, fields: dict[str, Any]) -> None:
    status, body = await either.try_to_place(**fields)
    assert (status, body["status"]) == (400, "error")
    assert await either.ghosts() == []


async def test_bodies_nested_without_end_are_malformed(live: Desk) -> None:
    assert (await raw(live, b"[" * 100_000))[0] == 400
    assert (await raw(live, b'{"apikey":' * 100_000))[0] == 400


async def test_unknown_routes_and_gets_are_not_found(live: Desk) -> None:
    expected = {"status": "error", "message": "Not found", "path": "/api/v1/placeorder"}
    assert await raw(live, b"", method="GET") == (404, expected)
    assert (await live.call("placebasket"))[0] == 404
    async with live.http.get(f"{live.server.url}/") as response:
        assert response.status == 404


async def test_a_trailing_slash_makes_no_difference(live: Desk) -> None:
    assert await live.call("ping/") == await live.call("ping")
    assert (await live.call("market/timings/", date="2027-01-11"))[0] == 200


async def test_ping_and_analyzer_tell_who_and_in_which_mode(either: Desk) -> None:
    assert await either.data("ping") == {"message": "pong", "broker": "zerodha"}
    mode = (await either.admin("state"))["mode"]
    expected = {"mode": mode, "analyze_mode": mode == Mode.ANALYZE, "total_logs": 0}
    assert await either.data("analyzer") == expected
