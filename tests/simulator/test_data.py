"""Quotes, contracts, sessions."""

from datetime import UTC, datetime

import pytest

from ratchet.brokers.simulator import SessionRule
from tests.simulator.desk import CALL, GOLD, PUT, Desk, open_desk


async def test_strike_plus_call_minus_put_is_the_future(live: Desk) -> None:
    call, put, future = [
        (await live.data("quotes", symbol=name, exchange="NFO"))["ltp"] for name in (CALL, PUT, "BANKNIFTY25JAN27FUT")
    ]
    assert round(58000 + call - put, 2) == future == 58240.0


async def test_a_quote_has_the_real_servers_fields_and_one_tick_around(live: Desk) -> None:
    quote = await live.data("quotes", symbol=GOLD, exchange="MCX")
    assert set(quote) == {"ask", "bid", "high", "low", "ltp", "open", "prev_close", "volume", "oi"}
    assert (quote["bid"], quote["ltp"], quote["ask"]) == (134869.0, 134870.0, 134871.0)


async def test_a_quote_can_be_set_with_its_spread(live: Desk) -> None:
    await live.admin("quotes", {"symbol": GOLD, "exchange": "MCX", "ltp": 135000, "bid": 134990, "ask": 135020})
    quote = await live.data("quotes", symbol=GOLD, exchange="MCX")
    assert (quote["bid"], quote["ltp"], quote["ask"]) == (134990.0, 135000.0, 135020.0)


async def test_an_unknown_symbol_is_400_for_quotes_and_404_for_its_terms(live: Desk) -> None:
    assert (await live.call("quotes", symbol="NOPE", exchange="MCX"))[0] == 400
    assert (await live.call("symbol", symbol="NOPE", exchange="MCX"))[0] == 404


async def test_a_contracts_terms(live: Desk) -> None:
    terms = await live.data("symbol", symbol=PUT, exchange="NFO")
    assert {name: terms[name] for name in ("lotsize", "tick_size", "freeze_qty", "expiry", "strike")} == {
        "lotsize": 30,
        "tick_size": 0.05,
        "freeze_qty": 600,
        "expiry": "25-JAN-27",
        "strike": 58000.0,
    }
    assert set(terms) >= {"id", "brsymbol", "name", "brexchange", "token", "instrumenttype"}


async def test_expiries_are_listed_in_answers_spelling(live: Desk) -> None:
    async def listed(symbol: str, exchange: str, kind: str) -> list[str]:
        found: list[str] = await live.data("expiry", symbol=symbol, exchange=exchange, instrumenttype=kind)
        return found

    assert (await listed("BANKNIFTY", "NFO", "options"))[:2] == ["25-JAN-27", "23-FEB-27"]
    assert (await listed("GOLDM", "MCX", "futures"))[0] == "05-FEB-27"
    assert await listed("GOLDM", "MCX", "options") == []
    assert await listed("NOPE", "NFO", "futures") == []


@pytest.mark.parametrize(
    ("offset", "kind", "symbol"),
    [
        ("ATM", "CE", "BANKNIFTY25JAN2758000CE"),
        ("OTM2", "CE", "BANKNIFTY25JAN2759000CE"),
        ("ITM1", "CE", "BANKNIFTY25JAN2757500CE"),
        ("OTM1", "PE", "BANKNIFTY25JAN2757500PE"),
    ],
)
async def test_an_option_is_found_by_its_offset(live: Desk, offset: str, kind: str, symbol: str) -> None:
    asked = {"underlying": "BANKNIFTY", "exchange": "NSE_INDEX", "offset": offset, "option_type": kind}
    status, body = await live.call("optionsymbol", expiry_date="25JAN27", **asked)
    assert (status, body["symbol"], body["lotsize"]) == (200, symbol, 30)
    by_future = asked | {"underlying": "BANKNIFTY25JAN27FUT", "exchange": "NFO"}
    assert (await live.call("optionsymbol", **by_future))[1]["symbol"] == symbol


@pytest.mark.parametrize("expiry", ["25-JAN-27", "26JAN27", "soon"])
async def test_an_option_of_no_listed_expiry_is_not_found(live: Desk, expiry: str) -> None:
    asked = {"underlying": "BANKNIFTY", "exchange": "NSE_INDEX", "offset": "ATM", "option_type": "CE"}
    assert (await live.call("optionsymbol", expiry_date=expiry, **asked))[0] == 404


async def test_timings_are_milliseconds_of_the_open_exchanges() -> None:
    async with open_desk(sessions=SessionRule.EXCHANGE) as desk:
        rows = {row["exchange"]: row for row in await desk.data("market/timings", date="2027-01-11")}
        opens = datetime(2027, 1, 11, 3, 45, tzinfo=UTC).timestamp() * 1000
        closes = datetime(2027, 1, 11, 10, 0, tzinfo=UTC).timestamp() * 1000
        assert (rows["NFO"]["start_time"], rows["NFO"]["end_time"]) == (opens, closes)
        assert await desk.data("market/timings", date="2027-01-16") == []
        assert (await desk.call("market/timings", date="11-01-2027"))[0] == 400
        assert (await desk.call("market/timings", date="9999-12-31"))[0] == 400
        await desk.admin("timings", {"sessions": "always"})
        assert len(await desk.data("market/timings", date="2027-01-16")) == 7
        days = [{"exchange": "MCX", "start": "10:00", "end": "11:00", "date": "2027-01-16"}]
        await desk.admin("timings", {"sessions": "explicit", "days": days})
        assert [row["exchange"] for row in await desk.data("market/timings", date="2027-01-16")] == ["MCX"]


async def test_holidays_name_what_is_closed_and_what_opens_late() -> None:
    async with open_desk(sessions=SessionRule.EXCHANGE) as desk:
        status, body = await desk.call("market/holidays", year=2026)
        assert (status, body["year"], body["timezone"]) == (200, 2026, "Asia/Kolkata")
        rows = {row["date"]: row for row in body["data"]}
        assert rows["2026-11-24"]["open_exchanges"][0]["exchange"] == "MCX"
        assert "MCX" in rows["2026-12-25"]["closed_exchanges"]
        assert (await desk.call("market/holidays", year=2051))[0] == 400
        assert (await desk.call("market/holidays"))[1]["year"] == 2027


async def test_sessions_that_are_always_open_know_no_holidays(live: Desk) -> None:
    assert (await live.call("market/holidays", key="any key will do", year=2026))[1]["data"] == []


async def test_contracts_follow_the_date_past_midnight(live: Desk) -> None:
    await live.clock.advance(15 * 24 * 3600)
    assert (await live.data("expiry", symbol="BANKNIFTY", exchange="NFO", instrumenttype="futures"))[0] == "23-FEB-27"
    assert (await live.try_to_place())[0] == 400
