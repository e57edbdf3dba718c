"""Metrics follow the naming rules, and a timed block is observed however it ends."""

import re

import pytest
from prometheus_client import Counter, Gauge, Histogram, Info
from prometheus_client.parser import text_string_to_metric_families

from ratchet.observability import metrics

ALL = {name: value for name, value in vars(metrics).items() if isinstance(value, Counter | Gauge | Histogram | Info)}


def test_every_metric_has_our_prefix_a_help_sentence_and_a_lower_case_name() -> None:
    for metric in ALL.values():
        (family, *_) = metric.describe()
        assert re.fullmatch(r"ratchet_[a-z_]+", family.name), family.name
        assert family.documentation.endswith("."), family.name


def test_durations_are_in_seconds() -> None:
    for metric in ALL.values():
        name = next(iter(metric.describe())).name
        assert not re.search(r"_(ms|millis|milliseconds|minutes)(_|$)", name), name
        assert "duration" not in name or name.endswith("_seconds"), name


def test_no_label_can_hold_an_id() -> None:
    for name, metric in ALL.items():
        assert not {"id", "signal", "order", "fingerprint", "symbol", "source"} & set(metric._labelnames), name


def test_what_is_rendered_can_be_read_by_prometheus() -> None:
    metrics.SIGNALS_RECEIVED.labels("EXIT", metrics.Answer.ACCEPTED).inc()
    families = {family.name: family for family in text_string_to_metric_families(metrics.render().decode())}
    samples = families["ratchet_signals_received"].samples
    assert any(s.name == "ratchet_signals_received_total" and s.labels["answer"] == "accepted" for s in samples)
    assert "process_resident_memory_bytes" in families or "python_info" in families


def test_a_block_that_raises_is_observed_too() -> None:
    before = _count()
    with pytest.raises(ValueError, match="boom"), metrics.timed(metrics.DATABASE_SECONDS, "test"):
        raise ValueError("boom")
    assert _count() == before + 1


def _count() -> float:
    value = metrics.REGISTRY.get_sample_value(
        "ratchet_database_operation_duration_seconds_count", {"operation": "test"}
    )
    return value or 0.0
