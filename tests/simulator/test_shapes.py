"""What orders, trades, positions and money look like in each mode."""

from tests.simulator.desk import CALL, GOLD, KEY, Desk

LIVE_ROW = {
    "symbol",
    "exchange",
    "action",
    "quantity",
    "price",
    "trigger_price",
    "pricetype",
    "product",
    "orderid",
    "order_status",
    "timestamp",
}


async def test_a_live_order_row_has_neither_strategy_nor_filled_quantity(live: Desk) -> None:
    order_id = await live.place()
    book = await live.data("orderbook")
    assert book["orders"] == [
        {
            "symbol": CALL,
            "exchange": "NFO",
            "action": "BUY",
            "quantity": 60,
            "price": 0.0,
            "trigger_price": 0.0,
            "pricetype": "MARKET",
            "product": "NRML",
            "orderid": order_id,
            "order_status": "complete",
            "timestamp": "2027-01-11 10:30:00",
        }
    ]
    assert book["statistics"] == {
        "total_buy_orders": 1,
        "total_sell_orders": 0,
        "total_completed_orders": 1,
        "total_open_orders": 0,
        "total_rejected_orders": 0,
    }


async def test_the_ghost_is_nowhere_in_any_live_answer(live: Desk) -> None:
    order_id = await live.place(strategy="the-ghost")
    for endpoint in ("orderbook", "tradebook", "positionbook", "funds"):
        assert "the-ghost" not in str(await live.call(endpoint))
    assert "the-ghost" not in str(await live.status(order_id))
    assert await live.ghosts() == ["the-ghost"]


async def test_live_order_status_gives_the_first_trades_price_once_complete(live: Desk) -> None:
    resting = await live.place(pricetype="LIMIT", price=600)
    row = await live.status(resting)
    assert set(row) == LIVE_ROW | {"average_price"}
    assert (row["average_price"], row["order_status"]) == (0.0, "open")
    await live.admin("fills", {"orderid": resting, "quantity": 30, "price": "590"})
    assert (await live.status(resting))["average_price"] == 0.0
    await live.admin("fills", {"orderid": resting, "price": "610"})
    assert (await live.status(resting))["average_price"] == 590.0


async def test_partial_fills_show_in_the_live_tradebook_alone(live: Desk) -> None:
    resting = await live.place(pricetype="LIMIT", price=600)
    before = await live.orders()
    await live.admin("fills", {"orderid": resting, "quantity": 30})
    assert await live.orders() == before
    assert await live.data("tradebook") == [
        {
            "symbol": CALL,
            "exchange": "NFO",
            "product": "NRML",
            "action": "BUY",
            "quantity": 30,
            "average_price": 600.0,
            "trade_value": 18000.0,
            "orderid": resting,
            "timestamp": "10:30:00",
        }
    ]


async def test_live_positions_carry_the_average_price_as_text(live: Desk) -> None:
    await live.place()
    row = (await live.data("positionbook"))[0]
    assert set(row) == {"symbol", "exchange", "product", "quantity", "average_price", "ltp", "pnl"}
    assert row["average_price"] == "652.50"
    assert (row["quantity"], row["pnl"]) == (60, -3.0)


async def test_live_funds_are_text_with_two_decimals(live: Desk) -> None:
    await live.place(symbol=GOLD, exchange="MCX", quantity=100)
    assert await live.data("funds") == {
        "availablecash": "9865119.00",
        "collateral": "0.00",
        "m2mrealized": "0.00",
        "m2munrealized": "-10.00",
        "utiliseddebits": "134871.00",
    }


async def test_live_success_bodies_carry_no_mode(live: Desk) -> None:
    for endpoint in ("orderbook", "tradebook", "positionbook", "funds"):
        assert "mode" not in (await live.call(endpoint))[1]
    assert set((await live.try_to_place())[1]) == {"status", "orderid"}


async def test_the_sandbox_says_on_each_order_and_account_call_that_it_is_one(sandbox: Desk) -> None:
    assert set((await sandbox.try_to_place())[1]) == {"status", "orderid", "mode"}
    for endpoint in ("orderbook", "tradebook", "positionbook", "funds"):
        assert (await sandbox.call(endpoint))[1]["mode"] == "analyze"
    assert "mode" not in (await sandbox.call("quotes", symbol=CALL, exchange="NFO"))[1]


async def test_a_sandbox_order_row_has_strategy_and_fills_newest_first(sandbox: Desk) -> None:
    await sandbox.place(strategy="older")
    await sandbox.place(strategy="newer", pricetype="LIMIT", price=600)
    rows = await sandbox.orders()
    assert [row["strategy"] for row in rows] == ["newer", "older"]
    assert (rows[0]["pending_quantity"], rows[1]["filled_quantity"]) == (60, 60)
    assert (rows[1]["price"], rows[1]["average_price"]) == (652.45, 652.5)
    extra = {"average_price", "filled_quantity", "pending_quantity", "rejection_reason", "strategy"}
    assert set(rows[0]) == LIVE_ROW | extra
    statistics = (await sandbox.data("orderbook"))["statistics"]
    assert statistics["total_trigger_pending_orders"] == 0


async def test_sandbox_order_status_spells_the_price_type_otherwise(sandbox: Desk) -> None:
    row = await sandbox.status(await sandbox.place(strategy="g"))
    assert row["price_type"] == "MARKET"
    assert "pricetype" not in row
    assert row["strategy"] == "g"


async def test_sandbox_trades_and_positions_have_their_extra_fields(sandbox: Desk) -> None:
    await sandbox.place(strategy="g")
    trade = (await sandbox.data("tradebook"))[0]
    assert (trade["strategy"], trade["price"], trade["timestamp"]) == ("g", 652.5, "2027-01-11 10:30:00")
    assert trade["tradeid"].startswith("TRADE-20270111-103000-")
    status, body = await sandbox.call("positionbook")
    assert status == 200
    assert body["data"][0]["average_price"] == 652.5
    assert {"pnlpercent", "unrealized_pnl", "today_realized_pnl", "total_pnl_today", "lot_size"} <= set(body["data"][0])
    assert body["total_pnl"] == -3.0


async def test_sandbox_funds_are_numbers(sandbox: Desk) -> None:
    funds = await sandbox.data("funds")
    assert funds["availablecash"] == 10_000_000.0
    assert funds["reset_count"] == 0
    assert isinstance(funds["utiliseddebits"], float)


async def test_each_account_has_its_own_book(live: Desk) -> None:
    mine = await live.place(strategy="mine")
    theirs = await live.place(key=f"{KEY}-b", strategy="theirs")
    assert [row["orderid"] for row in await live.orders()] == [mine]
    assert [row["orderid"] for row in await live.orders(key=f"{KEY}-b")] == [theirs]
    assert (await live.call("orderstatus", strategy="", orderid=theirs))[0] == 404
    book = await live.admin("book?account=b")
    assert [(row["account"], row["intent_ghost"]) for row in book["orders"]] == [("b", "theirs")]
    assert await live.ghosts() == ["mine", "theirs"]


async def test_the_books_of_yesterday_are_gone_but_holdings_stay(live: Desk) -> None:
    order_id = await live.place()
    sold = await live.place(symbol=GOLD, exchange="MCX", quantity=100)
    await live.place(symbol=GOLD, exchange="MCX", quantity=100, action="SELL")
    assert [row["quantity"] for row in await live.data("positionbook")] == [60, 0]
    await live.clock.advance(24 * 3600)
    assert await live.orders() == []
    assert await live.data("tradebook") == []
    assert [row["symbol"] for row in await live.data("positionbook")] == [CALL]
    assert (await live.call("orderstatus", strategy="", orderid=order_id))[0] == 404
    assert len({order_id, sold}) == 2


async def test_the_sandbox_finds_an_order_of_any_day(sandbox: Desk) -> None:
    order_id = await sandbox.place()
    await sandbox.clock.advance(24 * 3600)
    assert await sandbox.orders() == []
    assert (await sandbox.status(order_id))["order_status"] == "complete"
