"""Alerts and panels ask only for what is measured, and each alert has a page that says what to do."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from charts import helm
from tests.chart.objects import named, rendered

ROOT = helm.CHART.parents[1]
RULES = helm.CHART / "files/rules.yaml"
DASHBOARD = helm.CHART / "files/dashboard.json"
METRIC = re.compile(r"\bratchet_[a-z_]+")


def measured() -> set[str]:
    """Return the metrics that something sets, as the reference page lists them."""
    page = (ROOT / "docs/reference/metrics.md").read_text(encoding="utf-8").partition("## Named, not measured yet")[0]
    return set(re.findall(r"^\| `(ratchet_[a-z_]+)`", page, re.MULTILINE))


def rules() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(RULES.read_text("utf-8"))["groups"] for rule in group["rules"]]


def asked(expression: str) -> set[str]:
    return {re.sub(r"_(bucket|sum|count)$", "", name) for name in METRIC.findall(expression)}


@pytest.mark.without_helm
@pytest.mark.parametrize("rule", rules(), ids=lambda rule: str(rule["alert"]))
def test_an_alert_has_a_runbook_and_asks_for_what_is_measured(rule: dict[str, Any]) -> None:
    assert (ROOT / "docs/runbook" / f"{rule['labels']['runbook']}.md").exists()
    assert asked(rule["expr"]) <= measured()
    assert rule["annotations"].keys() == {"summary", "description"}


@pytest.mark.without_helm
def test_the_dashboard_asks_for_what_is_measured() -> None:
    panels = json.loads(DASHBOARD.read_text("utf-8"))["panels"]
    assert len(panels) >= 12
    assert len({panel["title"] for panel in panels}) == len(panels)
    for panel in panels:
        for target in panel["targets"]:
            assert asked(target["expr"]), panel["title"]
            assert asked(target["expr"]) <= measured(), panel["title"]


def test_the_rendered_rules_name_their_runbooks() -> None:
    (group,) = named(rendered("operators"), "PrometheusRule", "ratchet")["spec"]["groups"]
    assert [rule["alert"] for rule in group["rules"]] == [rule["alert"] for rule in rules()]
    assert all(
        rule["annotations"]["runbook_url"] == f"https://example.com/runbook/{rule['labels']['runbook']}.md"
        for rule in group["rules"]
    )
    (data,) = named(rendered("operators"), "ConfigMap", "ratchet-dashboard")["data"].values()
    assert json.loads(data)["title"] == "Ratchet"


@pytest.mark.without_helm
def test_prometheus_fires_them_when_it_should(tmp_path: Path) -> None:
    promtool = helm.find("promtool")
    if promtool is None:
        pytest.skip("promtool is neither on PATH nor named by PROMTOOL")
    for command in (["check", "rules", str(RULES)], ["test", "rules", str(Path(__file__).with_name("alerts.yaml"))]):
        done = subprocess.run([promtool, *command], capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
