"""The page of metrics, in the order and under the headings of `ratchet/observability/metrics.py`."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator

from prometheus_client.metrics import Counter, Histogram, Info, MetricWrapperBase

from docs.markdown import NOTE, code, table
from ratchet.observability import metrics as module

_LINE = re.compile(r"^(?:# (?P<heading>.+)|(?P<name>[A-Z_]+) = (?:_counter|_gauge|_histogram|Info)\()", re.MULTILINE)


def metrics() -> str:
    """Return the page of metrics."""
    parts = [
        "# Metrics",
        NOTE,
        "At `/metrics` of each service (its HTTP port) and leader (`RATCHET_LEADER__HTTP_PORT`). A histogram has "
        "`_bucket`, `_sum` and `_count`. Besides these, the client library's `process_*` and `python_*`.",
    ]
    for heading, found in _sections():
        parts.append(f"## {heading}")
        parts.append(table(("metric", "type", "labels", "meaning"), (_row(metric) for metric in found)))
    return "\n\n".join(part.rstrip() for part in parts)


def _sections() -> Iterator[tuple[str, list[MetricWrapperBase]]]:
    heading, found = "", list[MetricWrapperBase]()
    for match in _LINE.finditer(inspect.getsource(module)):
        if match["heading"]:
            if found:
                yield heading, found
            heading, found = match["heading"], []
        else:
            found.append(getattr(module, match["name"]))
    yield heading, found


def _row(metric: MetricWrapperBase) -> tuple[str, str, str, str]:
    (family,) = metric.describe()
    kind = "histogram" if isinstance(metric, Histogram) else family.type
    suffix = "_total" if isinstance(metric, Counter) else "_info" if isinstance(metric, Info) else ""
    labels: tuple[str, ...] = getattr(metric, "_labelnames", ())
    return f"`{family.name}{suffix}`", kind, code(labels), family.documentation
