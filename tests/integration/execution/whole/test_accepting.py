"""Accepting: each signal becomes one row, however often, from wherever and however close together it arrives."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from ratchet.domain.identity import AccountId, StrategyId
from ratchet.domain.signals import Source
from ratchet.domain.webhook import parse
from ratchet.execution.accept import Acceptor
from ratchet.execution.repeats import Repeats
from ratchet.execution.submission import Duplicate, NotDurable, Submission
from ratchet.persistence import accepting
from tests.integration.execution.whole.desk import Desk, desk
from tests.messages import message
from tests.servers import ValkeyServer
from tests.servers.waiting import eventually
from tests.world import ACCOUNT, PATIENCE, stamp


def a_submission(kind: str, instrument: str = "GOLD_MINI", **fields: Any) -> Submission:
    parsed = parse(message(kind, instrument, **fields))
    return Submission(
        account=AccountId(ACCOUNT),
        strategy=StrategyId("default"),
        signal=parsed.signal,
        payload_hash=parsed.payload_hash,
        source=Source.API,
        request_id="request",
    )


async def notes_on(at: Desk, signal_id: Any) -> list[tuple[str, str | None]]:
    """Return the kinds of the redeliveries of a signal, and who noticed."""
    return [(event["kind"], event["data"].get("by")) for event in await at.events(f"duplicates:{signal_id}")]


async def noted(at: Desk, signal_id: Any, *, by: str) -> None:
    """Wait for the note of one redelivery; the answer does not."""

    async def there() -> bool:
        return await notes_on(at, signal_id) == [("duplicate", by)]

    await eventually(there, within=PATIENCE)


async def test_the_same_signal_again_is_answered_with_the_first_row(at: Desk) -> None:
    when = stamp(100)
    first = await at.world.send("BASE_ENTRY", timestamp=when)
    second = await at.world.send("BASE_ENTRY", timestamp=when)
    assert first.duplicate is None
    assert (second.id, second.duplicate) == (first.id, Duplicate.EXACT)
    assert await at.signals() == 1


async def test_an_orderly_stop_journals_what_was_answered(at: Desk) -> None:
    receipt = await at.world.send("BASE_ENTRY", timestamp=stamp(100))
    row = await at.world.row(receipt.id)
    repeats = Repeats(at.world.rt)
    running = asyncio.create_task(repeats.run())
    (stored,) = (await repeats.stored([(AccountId(ACCOUNT), row["fingerprint"], row["signal_ts"])])).values()
    repeats.note(stored, "request", by="recent")
    running.cancel()
    await asyncio.wait([running], timeout=PATIENCE)
    assert await notes_on(at, receipt.id) == [("duplicate", "recent")]


async def test_another_message_under_the_same_fingerprint_is_noted_as_a_conflict(at: Desk) -> None:
    when = stamp(100)
    first = await at.world.send("BASE_ENTRY", timestamp=when)
    second = await at.world.send("BASE_ENTRY", timestamp=when, price="134900")
    assert (second.id, second.duplicate) == (first.id, Duplicate.EXACT)
    assert [kind for kind, _ in await notes_on(at, first.id)] == ["conflict"]


@pytest.mark.parametrize(
    ("seconds", "duplicate"), [(60, Duplicate.WINDOW), (-60, Duplicate.WINDOW), (61, None), (-61, None)]
)
async def test_stamps_within_a_minute_either_way_are_one_trade(
    at: Desk, seconds: int, duplicate: Duplicate | None
) -> None:
    first = await at.world.send("BASE_ENTRY", timestamp="2026-11-20T10:05:00Z")
    minute, second = divmod(5 * 60 + seconds, 60)
    other = await at.world.send("BASE_ENTRY", timestamp=f"2026-11-20T10:{minute:02}:{second:02}Z")
    assert other.duplicate is duplicate
    assert (other.id == first.id) is (duplicate is not None)


async def test_the_window_is_one_of_layer_and_kind(at: Desk) -> None:
    when = "2026-11-20T10:05:00Z"
    receipts = [
        await at.world.send("PYRAMID", position="Long_2", timestamp=when),
        await at.world.send("PYRAMID", position="Long_3", timestamp=when),
        await at.world.send("BASE_ENTRY", timestamp=when),
        await at.world.send("BASE_ENTRY", "COPPER", timestamp=when),
        await at.world.send("MARKET_DATA", timestamp=when),
        await at.world.send("MARKET_DATA", timestamp="2026-11-20T10:05:30Z"),
    ]
    assert [receipt.duplicate for receipt in receipts] == [None] * 6


async def test_an_exit_repeats_another_only_while_that_one_is_open(at: Desk) -> None:
    await at.world.executed("BASE_ENTRY", timestamp=stamp(20))
    await at.switch(exits=False)
    first = await at.world.send("EXIT", timestamp=stamp(5))
    second = await at.world.send("EXIT", timestamp=stamp(3))
    assert (second.id, second.duplicate) == (first.id, Duplicate.WINDOW)
    await at.switch()
    await at.world.ended(first.id)
    third = await at.world.send("EXIT", timestamp=stamp(2))
    assert third.duplicate is None
    await at.world.ended(third.id)
    await at.check()


async def test_repeats_within_one_batch_are_one_row(at: Desk) -> None:
    when, near = stamp(200), stamp(190)
    receipts = await asyncio.gather(
        *[at.world.send("BASE_ENTRY", timestamp=when) for _ in range(5)],
        at.world.send("BASE_ENTRY", timestamp=near),
    )
    assert [receipt.duplicate for receipt in receipts] == [None, *[Duplicate.EXACT] * 4, Duplicate.WINDOW]
    assert len({receipt.id for receipt in receipts}) == 1
    assert await at.signals() == 1


async def test_two_pods_that_get_the_same_burst_store_it_once(at: Desk) -> None:
    """Trades are serialised by their keys, bars by their primary key alone."""
    burst = [a_submission("BASE_ENTRY", timestamp=f"2026-11-2{day}T10:05:00Z") for day in range(5)]
    burst += [a_submission("MARKET_DATA", timestamp=f"2026-11-20T1{hour}:00:00Z") for hour in range(5)]
    async with AsyncExitStack() as stack:
        pods = [Acceptor(at.world.rt) for _ in range(2)]
        for pod in pods:
            task = asyncio.create_task(pod.run())
            stack.callback(task.cancel)
        answers = await asyncio.gather(*(pod.accept(submission) for submission in burst for pod in pods))
    assert sum(answer.duplicate is None for answer in answers) == len(burst)
    assert [a.id for a in answers[::2]] == [a.id for a in answers[1::2]]
    assert await at.signals() == len(burst)


async def test_two_pods_that_note_the_same_redelivery_answer_both(at: Desk) -> None:
    bar = a_submission("MARKET_DATA", timestamp="2026-11-20T10:05:00Z")
    first = await at.world.pod.acceptor.accept(bar)
    async with AsyncExitStack() as stack:
        pods = [Acceptor(at.world.rt) for _ in range(4)]
        for pod in pods:
            task = asyncio.create_task(pod.run())
            stack.callback(task.cancel)
        for _ in range(5):
            answers = await asyncio.gather(*(pod.accept(bar) for pod in pods))
            assert {answer.id for answer in answers} == {first.id}
    await at.check()


@pytest.mark.parametrize(
    ("kind", "ago", "status", "reason"),
    [
        ("BASE_ENTRY", 90, "expired", "stale"),
        ("PYRAMID", 90, "expired", "stale"),
        ("BASE_ENTRY", -3600, "rejected", "future"),
        ("MARKET_DATA", -3600, "rejected", "future"),
        ("EOD_MONITOR", -3600, "rejected", "future"),
        ("EXIT", 200 * 86_400, "expired", "forgotten"),
        ("MARKET_DATA", 200 * 86_400, "expired", "forgotten"),
        ("EXIT", -3600, "executed", "no_open_position"),
        ("EXIT", 7200, "executed", "no_open_position"),
        ("MARKET_DATA", 7200, "executed", "bar_applied"),
    ],
)
async def test_age_decides_the_end_and_never_the_answer(
    at: Desk, kind: str, ago: int, status: str, reason: str
) -> None:
    receipt = await at.world.send(kind, timestamp=stamp(ago), **(EOD if kind == "EOD_MONITOR" else {}))
    assert receipt.duplicate is None
    row = await at.world.ended(receipt.id)
    assert (row["status"], row["reason"]) == (status, reason)
    assert row["terminal_at"] is not None


EOD: dict[str, Any] = {
    "conditions": dict.fromkeys(
        (
            "rsi_condition",
            "ema_condition",
            "dc_condition",
            "adx_condition",
            "er_condition",
            "st_condition",
            "not_doji",
            "long_entry",
            "long_exit",
        ),
        False,
    ),
    "indicators": {
        "rsi": 73,
        "ema": 131250,
        "dc_upper": 135010,
        "adx": 12,
        "er": "0.8",
        "supertrend": 134210,
        "atr": 795,
    },
}


async def test_a_future_exit_closes_the_lane_only_up_to_now(at: Desk) -> None:
    await at.world.executed("EXIT", timestamp=stamp(-3600))
    row = await at.world.executed("BASE_ENTRY", timestamp=stamp(-3))
    assert (row["status"], row["reason"]) == ("executed", "filled")
    await at.check()


async def test_a_process_answers_from_memory_what_it_knows_to_have_ended(at: Desk) -> None:
    when = stamp(100)
    first = await at.world.send("BASE_ENTRY", timestamp=when)
    again = await at.world.send("BASE_ENTRY", timestamp=when)
    assert (again.id, again.status, again.duplicate) == (first.id, first.status, Duplicate.EXACT)
    await noted(at, first.id, by="recent")


async def test_a_redelivery_of_a_signal_in_work_is_answered_with_what_has_become_of_it(at: Desk) -> None:
    await at.switch(exits=False)
    await at.world.executed("BASE_ENTRY", timestamp=stamp(20))
    when = stamp(5)
    first = await at.world.send("EXIT", timestamp=when)

    async def in_work() -> bool:
        return str((await at.world.row(first.id))["status"]) == "processing"

    await eventually(in_work, within=PATIENCE)
    again = await at.world.send("EXIT", timestamp=when)
    assert (again.id, str(again.status), again.duplicate) == (first.id, "processing", Duplicate.EXACT)
    await noted(at, first.id, by="recent")
    await at.switch()
    ended = await at.world.ended(first.id)
    last = await at.world.send("EXIT", timestamp=when)
    assert (last.id, str(last.status), last.duplicate) == (first.id, ended["status"], Duplicate.EXACT)


async def test_a_sender_is_told_no_in_time_when_the_database_does_not_store(tmp_path: Path, database_url: str) -> None:
    async with desk(tmp_path, database_url, http={"request_timeout_seconds": 1, "body_timeout_seconds": 1}) as at:
        when = stamp(100)
        await at.world.send("BASE_ENTRY", timestamp=when)
        same_key = a_submission("BASE_ENTRY", timestamp=stamp(-300))
        row = at.world.pod.acceptor._row(same_key, same_key.signal.fingerprint)
        async with at.world.rt.db.transaction(name="test") as tx:
            await accepting.lock_keys(tx, [row])
            began = asyncio.get_running_loop().time()
            answers = await asyncio.gather(
                *(at.world.pod.acceptor.accept(same_key) for _ in range(3)), return_exceptions=True
            )
            took = asyncio.get_running_loop().time() - began
        assert [type(answer) for answer in answers] == [NotDurable] * 3
        assert 0.9 < took < 1.9


async def test_what_redis_has_seen_is_confirmed_by_the_database(
    database_url: str, tmp_path: Path, valkey_server: ValkeyServer
) -> None:
    async with desk(tmp_path, database_url, redis_url=valkey_server.url) as at, AsyncExitStack() as stack:
        await at.world.send("MARKET_DATA", timestamp=stamp(100))
        bar = a_submission("MARKET_DATA", timestamp="2026-11-20T10:05:00Z")
        first = await at.world.pod.acceptor.accept(bar)
        other = Acceptor(at.world.rt)
        stack.callback(asyncio.create_task(other.run()).cancel)
        second = await other.accept(bar)
        assert (second.id, second.duplicate) == (first.id, Duplicate.EXACT)
        await noted(at, first.id, by="redis")
        assert await at.signals() == 2
