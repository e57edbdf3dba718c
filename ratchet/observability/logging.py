"""Log lines: a sentence for people, fields for machines, one line each, no secret in any of it.

    log.info("order placed", extra={"event": "order_placed", "intent_id": intent_id, "took_ms": 38})

As JSON: ts, level, event, message, logger, the context (signal_id, request_id, pod, epoch), the fields, error.
On a terminal: time, level, sentence, then the same as key=value.
ERROR means that a person acts, WARNING that we coped, INFO that a state changed.
"""

import json
import logging
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, TextIO

from ratchet.observability import context
from ratchet.observability.redaction import Redactor

_OWN = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "color_message", "event"}
_COLOURS = {"WARNING": "\x1b[33m", "ERROR": "\x1b[31m", "CRITICAL": "\x1b[31m"}
_RESET = "\x1b[0m"

_redactor = Redactor()


def configure(*, level: str = "INFO", form: str = "auto", stream: TextIO | None = None) -> None:
    """Make the root logger write our lines, and nothing else.

    form: json, text, or auto: text on a terminal, JSON otherwise. stream: standard error unless given.
    """
    target = stream if stream is not None else sys.stderr
    terminal = target.isatty()
    handler = logging.StreamHandler(target)
    if form == "text" or (form == "auto" and terminal):
        handler.setFormatter(TextFormatter(_redactor, coloured=terminal))
    else:
        handler.setFormatter(JsonFormatter(_redactor))
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level)
    # Their INFO lines are one per request or statement; a transition is what we log.
    for noisy in ("uvicorn.access", "aiohttp.access", "asyncio", "sqlalchemy.engine", "aiosqlite"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def hide(secrets: Iterable[str]) -> None:
    """Keep these values out of every line from now on."""
    _redactor.add(secrets)


def redact(text: str) -> str:
    """Return `text` without the secrets of this process, for errors and rows that leave it."""
    return _redactor.clean(text)


class JsonFormatter(logging.Formatter):
    """One JSON object per record."""

    def __init__(self, redactor: Redactor) -> None:
        super().__init__()
        self._redactor = redactor

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line: dict[str, Any] = {
            "ts": _timestamp(record),
            "level": record.levelname,
            "event": record.__dict__.get("event", "log"),
            "message": record.getMessage(),
            "logger": record.name,
            **context.current(),
        }
        for name, value in _fields(record).items():
            line.setdefault(name, value)
        if error := _error(self, record):
            line["error"] = error
        return self._redactor.clean(json.dumps(line, default=self._shown, ensure_ascii=False))

    def _shown(self, value: object) -> str:
        # Cleaned before JSON escapes it a second time.
        return self._redactor.clean(str(value))


class TextFormatter(logging.Formatter):
    """One readable line per record; a traceback follows it."""

    def __init__(self, redactor: Redactor, *, coloured: bool) -> None:
        super().__init__()
        self._redactor = redactor
        self._coloured = coloured

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        level = f"{record.levelname:<7}"
        if self._coloured and record.levelname in _COLOURS:
            level = f"{_COLOURS[record.levelname]}{level}{_RESET}"
        extras = {**_fields(record), **context.current()}
        pairs = "".join(f" {name}={_plain(self._redactor.clean(str(value)))}" for name, value in extras.items())
        time = datetime.fromtimestamp(record.created, UTC).astimezone().strftime("%H:%M:%S.%f")[:-3]
        text = f"{time} {level} {_one_line(record.getMessage())}{pairs}"
        if error := _error(self, record):
            text = f"{text}\n{error}"
        return self._redactor.clean(text)


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    return {name: value for name, value in record.__dict__.items() if name not in _OWN}


def _timestamp(record: logging.LogRecord) -> str:
    at = datetime.fromtimestamp(record.created, UTC)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _error(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    parts = []
    if record.exc_info:
        parts.append(formatter.formatException(record.exc_info))
    if record.stack_info:
        parts.append(record.stack_info)
    return "\n".join(parts)


def _plain(value: str) -> str:
    text = _one_line(value)
    return json.dumps(text, ensure_ascii=False) if " " in text or not text else text


def _one_line(text: str) -> str:
    """Return the text with control characters made visible: what a sender wrote must not forge a line."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
