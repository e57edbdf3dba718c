"""Alerts and panels ask only for what is measured, and each alert has a page that says what to do."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from charts import helm
from tests.chart.objects import named, rendered, values_file
from tests.docs.test_incidents import kinds

ROOT = helm.CHART.parents[1]
RULES = helm.CHART / "files/rules.yaml"
DASHBOARD = helm.CHART / "files/dashboard.json"
METRIC = re.compile(r"\bratchet_[a-z_]+")
INCIDENTS = re.compile(r'ratchet_incidents_open\{kind=~?"([a-z_|]+)"\}')


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


@pytest.mark.without_helm
def test_there_is_an_alert_for_every_kind_of_incident_that_the_code_opens_and_for_no_other() -> None:
    told = {kind for rule in rules() for found in INCIDENTS.findall(rule["expr"]) for kind in found.split("|")}
    assert told == set(kinds())


def rendered_rules(*options: str) -> list[dict[str, Any]]:
    """Return the rules that the chart renders with the values for operators and further options of helm."""
    objects = tuple(helm.render([values_file("operators")], *options))
    (found,) = [one for one in objects if one["kind"] == "PrometheusRule"]
    return [rule for group in found["spec"]["groups"] for rule in group["rules"]]


def test_the_rendered_rules_link_their_runbooks() -> None:
    found = rendered_rules()
    assert [rule["alert"] for rule in found] == [rule["alert"] for rule in rules()]
    for rule in found:
        page = f"https://example.com/runbook/{rule['labels']['runbook']}.md"
        assert (rule["annotations"]["runbook"], rule["annotations"]["runbook_url"]) == (page, page)


def test_a_runbook_that_is_published_nowhere_is_named_and_not_linked() -> None:
    for rule in rendered_rules("--set=monitoring.prometheusRule.runbooks=docs/runbook"):
        assert rule["annotations"]["runbook"] == f"docs/runbook/{rule['labels']['runbook']}.md"
        assert "runbook_url" not in rule["annotations"]


@pytest.mark.parametrize("options", [(), ("--set=fullnameOverride=cash", "--namespace=trading")])
def test_the_alert_on_silent_signal_pods_asks_for_what_the_service_monitor_labels(options: tuple[str, ...]) -> None:
    objects = tuple(helm.render([values_file("operators")], *options))
    (monitor,) = [
        one for one in objects if one["kind"] == "ServiceMonitor" and one["metadata"]["name"].endswith("-signals")
    ]
    (service,) = [
        one
        for one in objects
        if one["kind"] == "Service"
        and monitor["spec"]["selector"]["matchLabels"].items() <= one["metadata"]["labels"].items()
    ]
    namespace = "trading" if options else "ratchet"
    job = service["metadata"]["labels"][monitor["spec"]["jobLabel"]]
    series = f'up{{namespace="{namespace}",job="{job}",service="{service["metadata"]["name"]}"}}'
    (rule,) = [rule for rule in rendered_rules(*options) if rule["alert"] == "RatchetNoSignalPod"]
    assert re.findall(r"up\{.*?\}", rule["expr"]) == [series, series]


def test_without_a_service_monitor_nothing_is_said_of_silent_pods() -> None:
    found = rendered_rules("--set=monitoring.serviceMonitor.enabled=false")
    assert {rule["alert"] for rule in rules()} - {rule["alert"] for rule in found} == {"RatchetNoSignalPod"}


def test_the_rendered_dashboard_is_the_file() -> None:
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
