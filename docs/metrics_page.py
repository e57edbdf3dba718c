"""The page of metrics, in the order and under the headings of `ratchet/observability/metrics.py`."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from prometheus_client.metrics import Counter, Histogram, Info, MetricWrapperBase

from docs.markdown import NOTE, code, table
from ratchet.observability import metrics as module

_LINE = re.compile(r"^(?:# (?P<heading>.+)|(?P<name>[A-Z_]+) = (?:_counter|_gauge|_histogram|Info)\()", re.MULTILINE)
_NAME = re.compile(r"\bmetrics\.([A-Z_]+)\b")
_HEAD = ("metric", "type", "labels", "meaning")


_PRODUCT = ("ratchet", "service", "leader")


def metrics() -> str:
    """Return the page of metrics."""
    parts = [
        "# Metrics",
        NOTE,
        "At `/metrics` of each service (its HTTP port) and leader (`RATCHET_LEADER__HTTP_PORT`). A histogram has "
        "`_bucket`, `_sum` and `_count`. Besides these, the client library's `process_*` and `python_*`.",
    ]
    idle = []
    for heading, found in _sections():
        rows = [_row(metric) for name, metric in found if name in _used_names()]
        idle += [_row(metric) for name, metric in found if name not in _used_names()]
        if rows:
            parts += [f"## {heading}", table(_HEAD, rows)]
    if idle:
        parts += [
            "## Named, not measured yet",
            "Nothing sets these: they show 0, or not at all. Build no alert on them.",
            table(_HEAD, idle),
        ]
    return "\n\n".join(part.rstrip() for part in parts)


def _sections() -> Iterator[tuple[str, list[tuple[str, MetricWrapperBase]]]]:
    heading, found = "", list[tuple[str, MetricWrapperBase]]()
    for match in _LINE.finditer(inspect.getsource(module)):
        if match["heading"]:
            if found:
                yield heading, found
            heading, found = match["heading"], []
        else:
            found.append((match["name"], getattr(module, match["name"])))
    yield heading, found


@cache
def _used_names() -> frozenset[str]:
    """Return the names in capitals that the product mentions outside the module of metrics itself."""
    root, own = Path(__file__).parents[1], Path(inspect.getfile(module))
    files = (path for folder in _PRODUCT for path in (root / folder).rglob("*.py") if path != own)
    return frozenset(word for path in files for word in _NAME.findall(path.read_text(encoding="utf-8")))


def _row(metric: MetricWrapperBase) -> tuple[str, str, str, str]:
    (family,) = metric.describe()
    kind = "histogram" if isinstance(metric, Histogram) else family.type
    suffix = "_total" if isinstance(metric, Counter) else "_info" if isinstance(metric, Info) else ""
    labels: tuple[str, ...] = getattr(metric, "_labelnames", ())
    return f"`{family.name}{suffix}`", kind, code(labels), family.documentation
