"""What a start depends on."""

import socket

from ratchet.clock import SystemClock
from ratchet.config.duties import DrainSettings
from ratchet.config.sections import HttpSettings
from ratchet.persistence import migrate, revision
from service.drain import Drain
from service.server import Server


def test_the_revision_that_is_waited_for_is_the_newest_one() -> None:
    assert revision.newest() == migrate.head()


def test_accepted_connections_have_no_nagle_delay() -> None:
    async def app(scope: object, receive: object, send: object) -> None:
        raise AssertionError("nobody asks")

    drain = Drain(delay_seconds=0, clock=SystemClock())
    server = Server(app, http=HttpSettings(), port=0, drain=drain, limits=DrainSettings())
    with server.listen() as listener:
        # asyncio switches Nagle's algorithm off only where the protocol is named
        assert listener.proto == socket.IPPROTO_TCP
