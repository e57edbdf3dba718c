"""Values that make no sense are refused before anything reaches a cluster, with words that say what to set."""

import re

import pytest

from charts import helm
from tests.chart.objects import Object, containers, values_file

SCHEMA_CASES = {
    "unknown at the top": ("sinals.replicas=3", "sinals"),
    "unknown in a section": ("signals.replica=3", "replica"),
    "unknown setting": ("settings.leader.lease_seconds=3", "lease_seconds"),
    "a secret among the settings": ("settings.webhook_token=abc", "webhook_token"),
    "a text for a number": ("settings.http.page_size=many", "page_size"),
    "a number out of its bounds": ("settings.database.pool_size=1", "pool_size"),
    "no such mode": ("postgres.mode=sqlite", "postgres/mode"),
    "no such level": ("settings.log_level=LOUD", "log_level"),
    "a short token": ("secrets.apiToken=short", "secrets/apiToken"),
    "a password that its file cannot hold": ('redis.bundled.password=a"b', "redis/bundled/password"),
    "one leader": ("leader.replicas=1", "leader/replicas"),
    "one pod at the least": ("autoscaling.minReplicas=1", "autoscaling/minReplicas"),
    "no such policy": ("image.pullPolicy=Sometimes", "image/pullPolicy"),
    "a digest that is none": ("image.digest=latest", "image/digest"),
    "open resources": ("signals.resources.request.cpu=1", "request"),
    "no port": ("settings.http_port=null", "http_port"),
    "a free port": ("settings.leader.http_port=0", "http_port"),
    "no section": ("settings.leader=null", "leader"),
    "a path that is none": ("ingress.paths={webhook}", "ingress/paths"),
}

FAIL_CASES = {
    "signals grace": (["signals.terminationGracePeriodSeconds=34"], "signals.terminationGracePeriodSeconds is"),
    "leader grace": (
        ["settings.drain.graceful_seconds=21", "signals.terminationGracePeriodSeconds=60"],
        "leader.terminationGracePeriodSeconds is",
    ),
    "a grace for the default": (
        ["settings.drain.graceful_seconds=null", "signals.terminationGracePeriodSeconds=16"],
        "signals.terminationGracePeriodSeconds is",
    ),
    "a lease for the preset": (
        ["settings.preset=fast", "settings.leader.lease_duration_seconds=4"],
        "settings.leader.lease_duration_seconds must be longer",
    ),
    "lease": (["settings.leader.lease_duration_seconds=9"], "settings.leader.lease_duration_seconds must be longer"),
    "deadline": (["settings.leader.renew_deadline_seconds=5"], "renew_deadline_seconds must be at least three times"),
    "request": (
        ["settings.leader.request_timeout_seconds=2.5", "settings.leader.lease_duration_seconds=12"],
        "settings.leader.request_timeout_seconds must not exceed",
    ),
    "whole": (["settings.leader.lease_duration_seconds=10.5"], "must be a whole number of seconds"),
    "scaling": (["autoscaling.maxReplicas=2", "autoscaling.minReplicas=3"], "autoscaling.maxReplicas must not"),
    "both brokers": (["settings.openalgo_url=http://x:5000"], "simulator.enabled and settings.openalgo_url are"),
    "no broker": (["simulator.enabled=false"], "settings.openalgo_url is not set"),
    "test": (
        [
            "simulator.enabled=false",
            "settings.openalgo_url=http://x:1",
            "settings.preset=test",
            "leader.backend=database",
        ],
        "settings.preset=test, failpoints",
    ),
    "key": (
        [
            "simulator.enabled=false",
            "settings.openalgo_url=http://x:1",
            "secrets.openalgoApiKey=",
            "settings.simulator.load_accounts=0",
        ],
        "the broker's key is not set",
    ),
    "previous": (["secrets.withPrevious=true"], "secrets.withPrevious is set"),
    "database": (["postgres.mode=external"], "postgres.mode is external"),
    "redis": (["redis.mode=external"], "redis.mode is external"),
    "ingress": (["ingress.enabled=true"], "ingress.enabled is set: set ingress.host"),
    "route": (["httpRoute.enabled=true"], "httpRoute.enabled is set"),
    "generated": (["secrets.apiToken="], "secrets.apiToken is not set, and without a cluster"),
}

OPERATOR_CASES = {
    "postgres.mode=cnpg": "postgres.mode=cnpg needs postgresql.cnpg.io/v1",
    "autoscaling.mode=keda": "autoscaling.mode=keda needs keda.sh/v1alpha1",
    "monitoring.serviceMonitor.enabled=true": "monitoring.serviceMonitor.enabled needs monitoring.coreos.com/v1",
    "monitoring.prometheusRule.enabled=true": "monitoring.prometheusRule.enabled needs monitoring.coreos.com/v1",
    "httpRoute.enabled=true,httpRoute.parentRefs[0].name=x": "httpRoute.enabled needs gateway.networking.k8s.io/v1",
    "networkPolicy.cilium=true": "networkPolicy.cilium needs cilium.io/v2",
}


def refusal(*settings: str, operators: bool = True, kube: str = "1.35.0") -> str:
    """Return what helm says of values that it must not accept."""
    options = []
    for setting in settings:
        options += ["--set-json" if re.search(r"=[0-9.]+$", setting) else "--set", setting]
    with pytest.raises(helm.HelmFailed) as refused:
        helm.render([values_file("demo")], *options, operators=operators, kube=kube)
    return str(refused.value)


@pytest.mark.parametrize("case", SCHEMA_CASES)
def test_the_schema_refuses(case: str) -> None:
    setting, words = SCHEMA_CASES[case]
    said = refusal(setting)
    assert "don't meet the specifications of the schema" in said
    assert words in said.replace(".", "/")  # Helm 3 writes paths with dots


@pytest.mark.parametrize("case", FAIL_CASES)
def test_values_that_do_not_fit_together_are_refused(case: str) -> None:
    settings, words = FAIL_CASES[case]
    assert words in refusal(*settings)


@pytest.mark.parametrize("setting", OPERATOR_CASES)
def test_what_the_cluster_does_not_serve_is_refused_with_the_way_out(setting: str) -> None:
    said = refusal(setting, operators=False)
    assert OPERATOR_CASES[setting] in said
    assert "install " in said


def test_a_sleep_before_the_end_needs_a_kubernetes_that_knows_it() -> None:
    assert "drain.preStopSeconds needs Kubernetes 1.30" in refusal(
        "drain.preStopSeconds=3", "leader.terminationGracePeriodSeconds=40", kube="1.29.0"
    )


def test_a_policy_for_admission_needs_a_kubernetes_that_knows_it() -> None:
    assert "leader.admissionPolicy needs Kubernetes 1.30" in refusal("leader.admissionPolicy=true", kube="1.29.0")


def test_a_sleep_before_the_end_is_rendered_where_it_is_known() -> None:
    objects = tuple(
        helm.render([values_file("demo")], "--set", "drain.preStopSeconds=5,leader.terminationGracePeriodSeconds=35")
    )
    for name in ("ratchet-signals", "ratchet-leader"):
        (found,) = [o for o in objects if o["kind"] == "Deployment" and o["metadata"]["name"] == name]
        spec: Object = found["spec"]["template"]["spec"]
        assert [c["lifecycle"] for c in containers(spec)] == [{"preStop": {"sleep": {"seconds": 5}}}]


def test_every_refusal_of_the_templates_is_tried_here() -> None:
    tried = [words for _, words in FAIL_CASES.values()] + ["drain.preStopSeconds needs", "leader.admissionPolicy needs"]
    text = "\n".join(path.read_text("utf-8") for path in (helm.CHART / "templates").rglob("*") if path.is_file())
    messages = re.findall(r'fail (?:\(printf )?"([^"]+)"', text)
    generic = [message for message in messages if message.startswith("%s")]
    assert len(generic) == 2  # what operators serve, and what cannot be generated: tried above with every value
    untried = [
        message for message in messages if message not in generic and not any(words in message for words in tried)
    ]
    assert untried == []


@pytest.mark.parametrize("setting", ["postgres.bundled.password=", "redis.bundled.password=", "secrets.webhookToken="])
def test_without_a_cluster_no_secret_is_made_up(setting: str) -> None:
    assert "without a cluster nothing can be generated and kept" in refusal(setting)
