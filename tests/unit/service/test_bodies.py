"""Reading bodies: whole, bounded, and given up when the client is gone."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from service.bodies import DISCARDED_BYTES, BodyTooLong, ClientGone, receive_body


def parts(*bodies: bytes, ended: bool = True) -> Callable[[], Awaitable[dict[str, Any]]]:
    messages: list[dict[str, Any]] = [{"type": "http.request", "body": body, "more_body": True} for body in bodies]
    messages += [{"type": "http.request", "body": b"", "more_body": False} if ended else {"type": "http.disconnect"}]
    remaining = iter(messages)

    async def receive() -> dict[str, Any]:
        return next(remaining)

    return receive


async def test_parts_are_joined() -> None:
    assert await receive_body(parts(b"ab", b"", b"cd"), limit=4) == b"abcd"


async def test_a_body_of_exactly_the_limit_is_read() -> None:
    assert len(await receive_body(parts(b"x" * 10), limit=10)) == 10


@pytest.mark.parametrize("bodies", [(b"x" * 11,), (b"x" * 6, b"x" * 5)])
async def test_one_byte_more_is_too_long_and_read_to_its_end(bodies: tuple[bytes, ...]) -> None:
    with pytest.raises(BodyTooLong) as caught:
        await receive_body(parts(*bodies), limit=10)
    assert caught.value.drained


async def test_a_huge_body_is_given_up_before_its_end() -> None:
    chunk = b"x" * 65_536
    with pytest.raises(BodyTooLong) as caught:
        await receive_body(parts(*[chunk] * (DISCARDED_BYTES // len(chunk) + 2)), limit=10)
    assert not caught.value.drained


@pytest.mark.parametrize("bodies", [(), (b"ab",)])
async def test_a_client_that_is_gone_is_told_apart(bodies: tuple[bytes, ...]) -> None:
    with pytest.raises(ClientGone):
        await receive_body(parts(*bodies, ended=False), limit=10)
