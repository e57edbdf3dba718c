"""The client's one connection, which a service may close whenever nothing is asked on it."""

from __future__ import annotations

import socket
import threading

import pytest

from ratchet.cli.api import Api

ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"


@pytest.mark.timeout(20)
def test_a_connection_that_was_closed_while_it_was_idle_is_opened_anew() -> None:
    closed = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            for _ in range(2):
                connection, _peer = listener.accept()
                with connection:
                    connection.recv(65_536)
                    connection.sendall(ANSWER)
                closed.set()

        serving = threading.Thread(target=serve, daemon=True)
        serving.start()
        api = Api(f"http://127.0.0.1:{listener.getsockname()[1]}", "secret")
        assert api.get("/health").good
        assert closed.wait(10)
        assert api.get("/health").good
        serving.join()
