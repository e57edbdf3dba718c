"""The yardstick: FastAPI that validates the same message with a pydantic model, stores nothing, and answers."""

from __future__ import annotations

import asyncio
import itertools
import socket
import sys
from datetime import datetime
from decimal import Decimal
from uuid import uuid4

import uvicorn
import uvloop
from fastapi import FastAPI
from pydantic import BaseModel


class Message(BaseModel):
    """An entry, as charts send it."""

    type: str
    instrument: str
    position: str
    price: Decimal
    stop: Decimal
    lots: int
    atr: Decimal
    er: Decimal
    supertrend: Decimal
    roc: Decimal | None
    timestamp: datetime


app = FastAPI()
_numbers = itertools.count(1)


@app.post("/signals", status_code=202)
async def take(message: Message, account: str) -> dict[str, str | None]:
    """Answer as the service answers a new signal."""
    return {"id": str(uuid4()), "status": "accepted", "duplicate": None, "request_id": f"{next(_numbers):x}"}


async def _serve() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(app, log_level="warning", access_log=False, lifespan="off", http="httptools")
        print(f"port {listener.getsockname()[1]}", flush=True)
        await uvicorn.Server(config).serve(sockets=[listener])


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve())
    sys.exit(0)
