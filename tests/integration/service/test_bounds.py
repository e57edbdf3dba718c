"""Every bound at its limit: open requests, rates, addresses, slow and malformed clients."""

import asyncio
import json
from pathlib import Path

import pytest

from tests.integration.service.running import API_TOKEN, WEBHOOK_TOKEN, Pod, entry, running, settings_for
from tests.servers.waiting import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def converse(pod: Pod, *parts: bytes) -> bytes:
    """Send raw bytes, and return all that comes back until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", pod.port)
    try:
        for part in parts:
            writer.write(part)
            await writer.drain()
        async with asyncio.timeout(8):
            return await reader.read()
    finally:
        writer.close()


def post(body: bytes, *, length: int | None = None, more: str = "") -> bytes:
    """Return the bytes of a webhook request."""
    size = len(body) if length is None else length
    head = f"POST /webhook/{WEBHOOK_TOKEN} HTTP/1.1\r\nhost: x\r\n{more}content-length: {size}\r\n\r\n"
    return head.encode() + body


async def test_requests_beyond_the_open_limit_are_503_at_once_and_none_is_lost(tmp_path: Path) -> None:
    async with running(settings_for(tmp_path, http={"max_open_requests": 5})) as pod:
        pod.acceptor.held.clear()
        messages = [entry(timestamp=f"2027-01-12T21:00:{n:02}") for n in range(8)]
        sent = [asyncio.create_task(pod.send(message)) for message in messages[:5]]
        await eventually(lambda: pod.acceptor.waiting == 5)
        refused = [await pod.send(message) for message in messages[5:]]
        assert [told.status for told in refused] == [503] * 3
        assert all("retry-after" in told.headers for told in refused)
        assert (await pod.ask("GET", "/livez")).status == 200
        pod.acceptor.held.set()
        assert [(await told).status for told in sent] == [202] * 5
        assert (await pod.send(messages[5])).status == 202


async def test_connections_beyond_the_limit_are_503_and_closed_and_room_is_used_again(tmp_path: Path) -> None:
    async with running(settings_for(tmp_path, http={"max_connections": 3}), look=False) as pod:
        held = [await asyncio.open_connection("127.0.0.1", pod.port) for _ in range(3)]
        for reader, writer in held:
            writer.write(b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n")
            assert b" 200 " in await reader.readline()
        told = await converse(pod)
        assert told.startswith(b"HTTP/1.1 503 ")
        assert b"retry-after: 1\r\n" in told
        for _, writer in held:
            writer.close()

        async def room() -> bool:
            return b" 200 " in await converse(pod, b"GET /livez HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")

        await eventually(room)


async def test_a_source_beyond_its_burst_is_429_with_retry_after(tmp_path: Path) -> None:
    async with running(settings_for(tmp_path, http={"rate_limit_per_second": 1, "rate_limit_burst": 3})) as pod:
        statuses = [(await pod.send(entry())).status for _ in range(3)]
        assert statuses == [202, 200, 200]
        told = await pod.send(entry())
        assert (told.status, told.headers["retry-after"]) == (429, "1")
        assert told.json["type"] == "urn:ratchet:problem:too-many-requests"
        assert (await pod.ask("GET", "/readyz")).status in (200, 503)


async def test_the_rate_limit_can_be_switched_off(tmp_path: Path) -> None:
    async with running(settings_for(tmp_path, http={"rate_limit_per_second": 0, "rate_limit_burst": 1})) as pod:
        assert [(await pod.send(entry())).status for _ in range(5)] == [202, 200, 200, 200, 200]


async def test_only_listed_addresses_may_send_signals_but_all_may_read(tmp_path: Path) -> None:
    async with running(settings_for(tmp_path, http={"allow_list": "52.89.214.238, 10.0.0.0/8"})) as pod:
        told = await pod.send(entry())
        assert (told.status, told.json["type"]) == (403, "urn:ratchet:problem:forbidden-source")
        bearer = {"authorization": f"Bearer {API_TOKEN}"}
        assert (await pod.ask("POST", "/signals", body=entry(), headers=bearer)).status == 403
        assert (await pod.read("/signals")).status == 200


async def test_the_address_behind_a_trusted_proxy_counts(tmp_path: Path) -> None:
    http = {"allow_list": "52.89.214.238", "trusted_proxies": "127.0.0.1"}
    async with running(settings_for(tmp_path, http=http)) as pod:
        behind = {"x-forwarded-for": "9.9.9.9, 52.89.214.238"}
        invented = {"x-forwarded-for": "52.89.214.238, 9.9.9.9"}
        assert (await pod.send(entry(), headers=behind)).status == 202
        assert (await pod.send(entry(), headers=invented)).status == 403
        assert (await pod.send(entry())).status == 403


async def test_an_untrusted_peer_cannot_invent_its_address(tmp_path: Path) -> None:
    http = {"allow_list": "52.89.214.238", "trusted_proxies": "10.0.0.1"}
    async with running(settings_for(tmp_path, http=http)) as pod:
        assert (await pod.send(entry(), headers={"x-forwarded-for": "52.89.214.238"})).status == 403


async def test_a_body_that_does_not_arrive_in_time_is_408(tmp_path: Path) -> None:
    async with running(settings_for(tmp_path, http={"body_timeout_seconds": 0.2})) as pod:
        answer = await converse(pod, post(b'{"type":', length=400))
        assert answer.startswith(b"HTTP/1.1 408")
        assert b"urn:ratchet:problem:slow-request" in answer


async def test_a_head_that_does_not_arrive_in_time_is_408(tmp_path: Path) -> None:
    async with running(settings_for(tmp_path, http={"body_timeout_seconds": 0.2})) as pod:
        for start in (b"", b"POST /webhook HTTP/1.1\r\nhost", b"\r\n\r\n"):
            answer = await converse(pod, start)
            assert answer.startswith(b"HTTP/1.1 408"), start


async def test_bytes_that_begin_no_request_do_not_hold_a_kept_connection(tmp_path: Path) -> None:
    async with running(settings_for(tmp_path, http={"body_timeout_seconds": 0.3})) as pod:
        reader, writer = await asyncio.open_connection("127.0.0.1", pod.port)
        writer.write(post(json.dumps(entry()).encode()))
        async with asyncio.timeout(5):
            assert (await reader.readuntil(b"}")).startswith(b"HTTP/1.1 202")
            writer.write(b"\r\n\r\n")
            assert (await reader.read()).startswith(b"HTTP/1.1 408")
        writer.close()


async def test_a_request_that_is_answered_before_its_body_came_leaves_the_connection_usable(pod: Pod) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", pod.port)
    writer.write(b"POST /webhook/wrong HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n01234")
    async with asyncio.timeout(5):
        assert (await reader.readuntil(b"}")).startswith(b"HTTP/1.1 401")
        writer.write(b"56789")
        writer.write(post(json.dumps(entry()).encode(), more="connection: close\r\n"))
        assert (await reader.read()).startswith(b"HTTP/1.1 202")
    writer.close()


async def test_an_endless_head_is_cut_off_long_before_its_time_is_over(tmp_path: Path) -> None:
    slow = {"body_timeout_seconds": 60, "request_timeout_seconds": 60}
    async with running(settings_for(tmp_path, http=slow)) as pod:
        reader, writer = await asyncio.open_connection("127.0.0.1", pod.port)
        filler = b"x-filler: " + b"y" * 4000 + b"\r\n"
        writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n" + filler * 500)
        answer = b""
        async with asyncio.timeout(5):
            try:
                answer = await reader.read()
            except ConnectionError:
                pass  # the reset overtook the answer
        writer.close()
        assert answer == b"" or answer.startswith(b"HTTP/1.1 413")


@pytest.mark.parametrize("size", [33_000, 40_000, 200_000])
@pytest.mark.parametrize("complete", [True, False])
async def test_a_head_that_is_too_long_is_413_at_once_though_it_comes_in_one_piece(
    pod: Pod, size: int, complete: bool
) -> None:
    head = b"POST /webhook HTTP/1.1\r\nhost: x\r\nx-filler: " + b"y" * size
    began = asyncio.get_running_loop().time()
    answer = await converse(pod, head + b"\r\ncontent-length: 2\r\n\r\n{}" if complete else head)
    assert answer.startswith(b"HTTP/1.1 413")
    assert b"urn:ratchet:problem:too-large" in answer
    assert answer.count(b"HTTP/1.1") == 1
    assert asyncio.get_running_loop().time() - began < 3


async def test_a_head_within_its_limit_is_read_however_much_comes_behind_it(pod: Pod) -> None:
    body = json.dumps(entry(timestamp="2027-01-12T21:00:09")).encode()
    filler = "x-filler: " + "y" * 30_000 + "\r\n"
    answer = await converse(pod, post(body, more=filler) * 3 + post(body, more=filler + "connection: close\r\n"))
    assert answer.count(b"HTTP/1.1 20") == 4


@pytest.mark.parametrize(
    "garbage",
    [b"\x16\x03\x01\x02\x00\x01", b"GET\r\n\r\n", b"GET /\x00 HTTP/1.1\r\n\r\n", b"GET /\xff HTTP/1.1\r\n\r\n"],
)
async def test_what_is_not_http_is_400_as_a_problem(pod: Pod, garbage: bytes) -> None:
    answer = await converse(pod, garbage)
    assert answer.startswith(b"HTTP/1.1 400")
    assert b"application/problem+json" in answer


@pytest.mark.parametrize(
    "target", ["*", "http://elsewhere/", "//", "/%", "/?%=&;", "/webhook/%2e%2e/%2f", "/signals/%c3%28"]
)
async def test_an_odd_target_is_refused_and_never_an_error_of_ours(pod: Pod, target: str) -> None:
    for method in ("OPTIONS", "POST", "GET", "CONNECT"):
        answer = await converse(pod, f"{method} {target} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".encode())
        assert answer.startswith((b"HTTP/1.1 4", b"HTTP/1.1 200")), (method, answer)


async def test_garbage_behind_a_request_does_not_take_its_answer_away(pod: Pod) -> None:
    pod.acceptor.held.clear()
    asking = asyncio.create_task(converse(pod, post(json.dumps(entry()).encode()) + b"\x00garbage\r\n\r\n"))
    await eventually(lambda: pod.acceptor.waiting == 1)
    pod.acceptor.held.set()
    answer = await asking
    assert answer.startswith(b"HTTP/1.1 202")
    assert answer.count(b"HTTP/1.1") == 1


async def test_a_client_that_leaves_in_the_middle_is_no_error(pod: Pod) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", pod.port)
    writer.write(post(b'{"type":', length=400))
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    assert (await pod.send(entry())).status == 202


async def test_pipelined_signals_are_answered_in_their_order(pod: Pod) -> None:
    first, second = (json.dumps(entry(timestamp=f"2027-01-12T21:00:0{n}")).encode() for n in (1, 2))
    answer = await converse(pod, post(first) + post(second, more="connection: close\r\n"))
    assert answer.count(b"HTTP/1.1 202") == 2


async def test_answers_carry_security_headers_unless_switched_off(tmp_path: Path) -> None:
    async with running(settings_for(tmp_path)) as pod:
        for told in (await pod.send(entry()), await pod.read("/signals"), await pod.ask("GET", "/nothing")):
            assert told.headers["x-content-type-options"] == "nosniff"
            assert told.headers["cache-control"] == "no-store"
            assert told.headers["x-request-id"]
            assert "server" not in told.headers
        assert "default-src 'none'" in (await pod.read("/signals")).headers["content-security-policy"]


async def test_security_headers_can_be_switched_off(tmp_path: Path) -> None:
    async with running(settings_for(tmp_path, http={"security_headers": False})) as pod:
        assert "x-content-type-options" not in (await pod.read("/signals")).headers
        assert "x-content-type-options" not in (await pod.send(entry())).headers
