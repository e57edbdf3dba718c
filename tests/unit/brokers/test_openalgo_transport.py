"""What an order's fate on a real socket proves: written before or after, answered or not."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from ratchet import failpoints
from ratchet.brokers.base import Accepted, Ambiguous, BrokerUnreachable, NotSent, Outcome, RefusalKind, Refused
from ratchet.brokers.openalgo.session import create_session
from ratchet.brokers.openalgo.transport import Timeouts, Transport
from ratchet.clock import SystemClock
from ratchet.domain.identity import BrokerOrderId
from tests.servers.waiting import eventually
from tests.unit.brokers.builders import KEY, ORDER, SHORT, Told, client
from tests.unit.brokers.raw_server import (
    Act,
    RawServer,
    Visit,
    answer,
    close,
    hang,
    http,
    reset,
    send_then_close,
    trickle,
)

ACCEPTED = answer(200, {"status": "success", "orderid": "77"})


async def outcome_with(*acts: Act, greeting: Act | None = None) -> Outcome:
    """Place one order with a server that acts so. It must have been asked once at most."""
    async with RawServer(*acts, greeting=greeting) as server, client(server.url) as broker:
        outcome = await broker.place(ORDER)
        assert len(server.requests) <= 1
        return outcome


async def test_an_accepted_order_is_one_request_with_its_intent_and_a_limit() -> None:
    async with RawServer(ACCEPTED) as server, client(server.url + "/") as broker:
        assert await broker.place(ORDER) == Accepted(BrokerOrderId("77"))
        [raw] = server.requests
        assert server.heads[0].startswith(b"POST /api/v1/placeorder HTTP/1.1\r\n")
        assert json.loads(raw) == {
            "apikey": KEY,
            "strategy": str(ORDER.intent_id),
            "symbol": "BANKNIFTY29DEC26FUT",
            "exchange": "NFO",
            "action": "BUY",
            "quantity": 35,
            "pricetype": "LIMIT",
            "product": "NRML",
            "price": "52000.05",
        }


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, {"status": "error", "message": "Invalid lot"}, RefusalKind.BROKER),
        (404, {"status": "error", "message": "Broker-specific module not found"}, RefusalKind.BROKER),
        (422, {"status": "error", "message": "RMS: margin"}, RefusalKind.BROKER),
        (429, {"message": "10 per 1 second"}, RefusalKind.RATE_LIMITED),
        (403, {"status": "error", "message": "Invalid openalgo apikey"}, RefusalKind.SESSION_GONE),
        (403, b"banned", RefusalKind.SESSION_GONE),
    ],
)
async def test_refusals(status: int, body: object, kind: RefusalKind) -> None:
    outcome = await outcome_with(answer(status, body))
    assert isinstance(outcome, Refused) and outcome.kind is kind


@pytest.mark.parametrize("order_id", [None, "None", ""])
async def test_a_success_without_an_order_id(order_id: str | None) -> None:
    outcome = await outcome_with(answer(200, {"status": "success", "orderid": order_id}))
    assert isinstance(outcome, Ambiguous) and outcome.answered and outcome.null_order_id


@pytest.mark.parametrize("mode", ["analyze", "semi_auto"])
async def test_another_mode(mode: str) -> None:
    outcome = await outcome_with(answer(200, {"status": "success", "orderid": "77", "mode": mode}))
    assert isinstance(outcome, Ambiguous) and outcome.misconfigured and "77" in outcome.cause


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (500, {"status": "error", "message": "Failed to place order due to internal error"}),
        (500, b"<html>Internal Server Error</html>"),
        (200, b"<html>hello</html>"),
        (200, b""),
        (200, b'["orderid", "77"]'),
        (200, b'{"status": "success", "orderid": "77"'),
        (200, b"\xff\xfe\x00"),
        (200, b"[" * 90_000),
        (200, b"9" * 90_000),
        (204, b""),
        (413, b"too large"),
    ],
    ids=lambda part: repr(part)[:40],
)
async def test_an_answer_that_proves_nothing(status: int, body: object) -> None:
    outcome = await outcome_with(answer(status, body))
    assert isinstance(outcome, Ambiguous) and outcome.answered and not outcome.null_order_id


async def test_a_redirect_is_an_answer_and_is_not_followed() -> None:
    outcome = await outcome_with(answer(307, b"", "Location: /api/v1/placeorder/"))
    assert isinstance(outcome, Ambiguous) and outcome.answered


async def test_an_answer_beyond_the_limit_is_unreadable() -> None:
    outcome = await outcome_with(answer(200, b'{"status":"success","orderid":"77"}' + b" " * 200_000))
    assert isinstance(outcome, Ambiguous) and outcome.answered and "longer than" in outcome.cause


@pytest.mark.parametrize("status", [408, 499, 502, 503, 504])
async def test_a_gateway_that_gave_up_leaves_the_order_under_way(status: int) -> None:
    outcome = await outcome_with(answer(status, b"<html>nginx</html>"))
    assert isinstance(outcome, Ambiguous) and not outcome.answered


@pytest.mark.parametrize(
    "act",
    [
        close,
        reset,
        hang,
        trickle(0.05),
        send_then_close(b"SSH-2.0-OpenSSH_9.6\r\n"),
        send_then_close(b"HTTP/1.1 200 OK\r\nContent-Len"),
        send_then_close(b'HTTP/1.1 200 OK\r\nContent-Length: 400\r\n\r\n{"status":"success","orderid":"77"}'),
        send_then_close(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
        send_then_close(http(200, b"no gzip", "Content-Encoding: gzip")),
    ],
    ids=["close", "reset", "hang", "trickle", "no-http", "cut-head", "cut-body", "bad-chunk", "bad-gzip"],
)
async def test_a_call_that_breaks_after_the_write_is_under_way(act: Act) -> None:
    outcome = await outcome_with(act)
    assert isinstance(outcome, Ambiguous) and not outcome.answered and not outcome.misconfigured


@pytest.mark.parametrize("greeting", [close, reset], ids=["close", "reset"])
async def test_a_connection_cut_before_it_was_read_proves_nothing(greeting: Act) -> None:
    outcome = await outcome_with(ACCEPTED, greeting=greeting)
    assert isinstance(outcome, Ambiguous) and not outcome.answered


@pytest.mark.parametrize("act", [close, reset], ids=["close", "reset"])
async def test_a_kept_connection_that_breaks_is_doubt_and_is_not_tried_again(act: Act) -> None:
    async with RawServer(ACCEPTED, act, ACCEPTED) as server, client(server.url) as broker:
        assert isinstance(await broker.place(ORDER), Accepted)
        second = await broker.place(ORDER)
        assert server.opened == 1, "the second order must have met the first one's connection"
        assert isinstance(second, Ambiguous) and not second.answered
        assert len(server.requests) == 2
        assert isinstance(await broker.place(ORDER), Accepted)


async def test_a_kept_connection_that_the_server_has_closed_carries_no_order() -> None:
    farewell = send_then_close(http(200, b'{"status":"success","orderid":"77"}'))
    async with RawServer(farewell) as server, client(server.url) as broker:
        for _ in range(5):
            assert isinstance(await broker.place(ORDER), Accepted)
        assert server.opened == 5


async def test_a_read_that_breaks_is_not_tried_again_either() -> None:
    async with RawServer(ACCEPTED, close) as server, client(server.url) as broker:
        await broker.place(ORDER)
        with pytest.raises(BrokerUnreachable):
            await broker.book()
        assert len(server.requests) == 2


async def test_an_idle_connection_is_given_up_before_the_server_closes_it() -> None:
    async with RawServer(ACCEPTED) as server, client(server.url, idle_seconds=0.05) as broker:
        assert isinstance(await broker.place(ORDER), Accepted)
        await eventually(lambda: server.closed == 1)
        assert isinstance(await broker.place(ORDER), Accepted)
        assert server.opened == 2


async def test_a_refused_connection_means_not_sent() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        async with client(f"http://127.0.0.1:{unused.getsockname()[1]}") as broker:
            assert isinstance(await broker.place(ORDER), NotSent)


async def test_a_name_that_does_not_resolve_means_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    async def unknown(*_: object, **__: object) -> object:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", unknown)
    async with client("http://openalgo.invalid:5000") as broker:
        assert isinstance(await broker.place(ORDER), NotSent)


async def test_a_name_server_that_hangs_means_not_sent_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(*_: object, **__: object) -> object:
        return await asyncio.Event().wait()

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", never)
    told = Told()
    async with client("http://openalgo.invalid:5000", observe=told) as broker:
        assert isinstance(await broker.place(ORDER), NotSent)
    assert told.calls[0][2] < SHORT.total


@asynccontextmanager
async def listener(backlog: int) -> AsyncIterator[socket.socket]:
    """Yield a socket on which nobody accepts."""
    with socket.socket() as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        listening.bind(("127.0.0.1", 0))
        listening.listen(backlog)
        yield listening


async def test_a_failed_tls_handshake_means_not_sent() -> None:
    seen: list[bytes] = []

    async def talk_plain(visit: Visit) -> None:
        seen.append(await visit.reader.read(4096))
        await visit.send(http(400, b"The plain HTTP request was sent to HTTPS port"))
        visit.close()

    async with RawServer(ACCEPTED, greeting=talk_plain) as server, client(f"https://127.0.0.1:{server.port}") as broker:
        assert isinstance(await broker.place(ORDER), NotSent)
    assert seen and not any(KEY.encode() in part for part in seen)


async def test_a_tls_handshake_that_hangs_means_not_sent() -> None:
    async with listener(5) as silent, client(f"https://127.0.0.1:{silent.getsockname()[1]}") as broker:
        assert isinstance(await broker.place(ORDER), NotSent)


async def test_no_free_connection_means_not_sent_and_the_others_are_unharmed() -> None:
    async with RawServer(hang) as server, client(server.url, connections=1) as broker:
        async with asyncio.TaskGroup() as group:
            first = group.create_task(broker.place(ORDER))
            await eventually(lambda: len(server.requests) == 1)
            second = await broker.place(ORDER)
        assert second == NotSent("NoFreeConnection: none within 0.1 s")
        assert isinstance(first.result(), Ambiguous)
        assert len(server.requests) == 1


async def test_a_server_that_hangs_takes_no_connection_from_another() -> None:
    session = create_session(connections=1)
    assert session.slots(Transport.root_of("http://127.0.0.1:1/")) is session.slots(
        Transport.root_of("http://127.0.0.1:1")
    )
    assert session.slots(Transport.root_of("http://127.0.0.1:1")) is not session.slots(
        Transport.root_of("http://127.0.0.1:2")
    )
    await session.close()


async def test_after_its_window_an_order_is_not_sent_and_no_byte_was_written() -> None:
    read: list[bytes] = []

    async def listen_only(visit: Visit) -> None:
        read.append(await visit.reader.read())

    async with RawServer(ACCEPTED, greeting=listen_only) as server, client(server.url) as broker:
        outcome = await broker.place(ORDER, within=-1.0)
        assert isinstance(outcome, NotSent) and "WindowMissed" in outcome.cause
        await eventually(lambda: read == [b""])


async def test_a_window_missed_on_a_kept_connection_is_not_sent_either() -> None:
    async with RawServer(ACCEPTED) as server, client(server.url) as broker:
        assert isinstance(await broker.place(ORDER), Accepted)
        assert isinstance(await broker.place(ORDER, within=-1.0), NotSent)
        assert len(server.requests) == 1
        assert isinstance(await broker.place(ORDER), Accepted)


async def test_a_closed_session_means_not_sent() -> None:
    async with RawServer(ACCEPTED) as server:
        async with client(server.url) as broker:
            pass
        assert isinstance(await broker.place(ORDER), NotSent)
        assert server.requests == []


async def test_cancellation_while_the_order_is_out_is_raised_and_gives_the_connection_back() -> None:
    told = Told()
    async with RawServer(hang, ACCEPTED) as server, client(server.url, connections=1, observe=told) as broker:
        task = asyncio.create_task(broker.place(ORDER))
        await eventually(lambda: len(server.requests) == 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert isinstance(await broker.place(ORDER), Accepted)
    assert told.words == [("placeorder", "cancelled"), ("placeorder", "accepted")]


async def test_a_silent_server_is_given_up_after_the_read_timeout() -> None:
    told = Told()
    async with RawServer(hang) as server, client(server.url, observe=told) as broker:
        await broker.place(ORDER)
    [(call, word, seconds)] = told.calls
    assert (call, word) == ("placeorder", "ambiguous")
    assert SHORT.read <= seconds + 0.01 and seconds < SHORT.total - 0.1


async def test_a_call_ends_within_its_total_though_bytes_keep_coming() -> None:
    told = Told()
    async with RawServer(trickle(0.05)) as server, client(server.url, observe=told) as broker:
        await broker.place(ORDER)
    [(call, word, seconds)] = told.calls
    assert (call, word) == ("placeorder", "ambiguous")
    assert SHORT.read < seconds < SHORT.total + 0.3


async def test_a_peer_that_takes_no_bytes_breaks_the_connection_in_the_write_timeout() -> None:
    session = create_session(write_timeout_seconds=0.3)
    patient = Timeouts(connect=1.0, read=20.0, total=20.0)
    try:
        async with listener(5) as deaf, asyncio.timeout(5):
            transport = Transport(
                session,
                f"http://127.0.0.1:{deaf.getsockname()[1]}",
                KEY,
                patient,
                SystemClock(),
                calls_per_second=1,
                answer_limit_bytes=1000,
            )
            seen = await transport.post("placeorder", b"x" * 900_000, total=20.0)
    finally:
        await session.close()
    assert seen.status is None and seen.connected


async def test_crash_points_lie_between_the_answer_and_its_reading() -> None:
    failpoints.arm("K9:cut,K13:cut")
    try:
        async with RawServer(ACCEPTED) as server, client(server.url) as broker:
            outcome = await broker.place(ORDER)
            assert isinstance(outcome, Ambiguous) and not outcome.answered
            with pytest.raises(BrokerUnreachable):
                await broker.cancel(BrokerOrderId("77"))
            assert len(server.requests) == 2
    finally:
        failpoints.disarm()


async def test_the_key_appears_in_no_text_and_no_repr() -> None:
    async with RawServer(answer(400, {"message": f"bad key {KEY}"})) as server, client(server.url) as broker:
        outcome = await broker.place(ORDER)
        assert isinstance(outcome, Refused) and KEY not in outcome.text and "***" in outcome.text
        with pytest.raises(Exception) as caught:
            await broker.book()
        assert KEY not in str(caught.value) and KEY not in repr(broker)
