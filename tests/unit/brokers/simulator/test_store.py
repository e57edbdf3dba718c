import sqlite3
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from ratchet.brokers.simulator.orders import Quirks, Status, Trade
from ratchet.brokers.simulator.store import OrderCall, Store
from tests.unit.brokers.simulator.test_prices import NOW, order

EVERY_QUIRK = Quirks(
    fill_limit=Decimal(30),
    rest_at=NOW,
    reject_at=NOW + timedelta(seconds=1),
    reject_text="no",
    visible_at=NOW,
    word="transit",
    word_until=NOW,
    shown_as_limit=True,
)


def test_what_was_saved_is_read_back_in_order_of_placement(tmp_path: Path) -> None:
    store = Store(tmp_path / "broker.db", durable=True)
    first, second = order(order_id="9", quirks=EVERY_QUIRK), order(order_id="1", price=Decimal("1.05"))
    trade = Trade(trade_id="9-1", order_id="9", quantity=Decimal(30), price=Decimal("100.05"), at=NOW)
    store.save([first], [trade])
    store.save([second])
    changed = order(order_id="9", quirks=EVERY_QUIRK, status=Status.CANCELLED, filled=Decimal(30))
    store.save([changed])
    store.close()
    reopened = Store(tmp_path / "broker.db", durable=True)
    assert reopened.load() == ([changed, second], [trade])
    reopened.close()


def test_calls_are_written_with_the_next_commit(tmp_path: Path) -> None:
    store = Store(tmp_path / "broker.db", durable=False)
    call = OrderCall(account="a", endpoint="placeorder", at=datetime(2027, 1, 11, tzinfo=UTC), limited=True)
    store.note(call)
    store.close()
    reopened = Store(tmp_path / "broker.db", durable=False)
    assert reopened.calls() == [call]
    reopened.close()


def test_the_file_is_durable_and_write_ahead_logged(tmp_path: Path) -> None:
    store = Store(tmp_path / "broker.db", durable=True)
    store.close()
    reader = sqlite3.connect(tmp_path / "broker.db")
    assert reader.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    reader.close()


def test_a_second_process_cannot_open_a_held_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ratchet.brokers.simulator.store._LOCK_WAIT_SECONDS", 0.0)
    holder = Store(tmp_path / "broker.db", durable=True)
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        Store(tmp_path / "broker.db", durable=True)
    holder.close()


def test_a_failed_commit_leaves_nothing_behind(tmp_path: Path) -> None:
    store = Store(tmp_path / "broker.db", durable=True)
    orphan = Trade(trade_id="1-1", order_id="1", quantity=Decimal(1), price=Decimal(1), at=NOW)
    store.save([order()], [orphan])
    with pytest.raises(sqlite3.IntegrityError):
        store.save([order(order_id="2")], [orphan])
    assert [row.order_id for row in store.load()[0]] == ["1"]
    store.close()
