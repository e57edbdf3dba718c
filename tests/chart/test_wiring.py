"""What one object says of another is true: selectors, ports, volumes, names."""

import base64
from urllib.parse import unquote, urlsplit

import pytest

from tests.chart.objects import (
    KUBERNETES,
    RENDERED,
    Object,
    containers,
    environment,
    named,
    of_kind,
    pod,
    pods,
    rendered,
    selects,
)

MADE_ELSEWHERE = {
    "ratchet-secrets", "ratchet-database", "ratchet-redis", "registry", "ratchet-tls",  # named in the values files
    "ratchet-postgres-app",  # by CloudNativePG
    "kube-root-ca.crt",  # by the cluster, in each namespace
    "my-portfolio",
}  # fmt: skip


@pytest.mark.parametrize("kube", KUBERNETES)
@pytest.mark.parametrize("name", RENDERED)
def test_every_values_file_renders_for_every_kubernetes(name: str, kube: str) -> None:
    objects = rendered(name, kube)
    assert {"Deployment", "Job", "Service"} <= {found["kind"] for found in objects}
    names = [(found["kind"], found["metadata"]["name"]) for found in objects]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("name", RENDERED)
def test_every_object_carries_the_standard_labels(name: str) -> None:
    for found in rendered(name):
        if found["metadata"]["name"].endswith("-extra"):
            continue
        labels = found["metadata"]["labels"]
        assert labels["app.kubernetes.io/instance"] == "ratchet"
        assert labels["app.kubernetes.io/managed-by"] == "Helm"
        assert all(isinstance(value, str) for value in labels.values())


@pytest.mark.parametrize("name", RENDERED)
def test_no_selector_includes_a_version(name: str) -> None:
    for found in rendered(name):
        selector = found.get("spec", {}).get("selector")
        if isinstance(selector, dict):
            text = str(selector)
            assert "version" not in text and "helm.sh/chart" not in text, found["metadata"]["name"]


@pytest.mark.parametrize("name", RENDERED)
def test_every_service_leads_to_a_port_of_a_pod(name: str) -> None:
    for service in of_kind(rendered(name), "Service"):
        reached = [spec for _, labels, spec in pods(rendered(name)) if selects(service["spec"]["selector"], labels)]
        assert len(reached) == 1, service["metadata"]["name"]
        ports = {port["name"] for container in containers(reached[0]) for port in container.get("ports", [])}
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports


@pytest.mark.parametrize("name", RENDERED)
def test_every_budget_and_selector_picks_pods_of_one_workload(name: str) -> None:
    wanted = {"signals", "leader"} - ({"leader"} if name == "plain" else set())
    budgets = of_kind(rendered(name), "PodDisruptionBudget")
    assert {budget["metadata"]["name"].removeprefix("ratchet-") for budget in budgets} == wanted
    for budget in budgets:
        assert budget["spec"]["maxUnavailable"] == 1
        assert budget["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow"
    for found in (*budgets, *of_kind(rendered(name), "Deployment"), *of_kind(rendered(name), "StatefulSet")):
        picked = [
            labels for _, labels, _ in pods(rendered(name)) if selects(found["spec"]["selector"]["matchLabels"], labels)
        ]
        assert len(picked) == 1, found["metadata"]["name"]


@pytest.mark.parametrize("name", ["demo", "external", "operators"])
def test_each_pod_has_exactly_one_policy_for_both_directions(name: str) -> None:
    policies = of_kind(rendered(name), "NetworkPolicy")
    assert all(policy["spec"]["policyTypes"] == ["Ingress", "Egress"] for policy in policies)
    for component, labels, _ in pods(rendered(name)):
        chosen = [policy for policy in policies if selects(policy["spec"]["podSelector"]["matchLabels"], labels)]
        assert len(chosen) == 1, component


def reaches(objects: tuple[Object, ...], source: str, target: str) -> bool:
    """Whether the policies on both ends let one component open a connection to another."""
    labels = {name: labels for name, labels, _ in pods(objects)}
    outwards = named(objects, "NetworkPolicy", f"ratchet-{source}")["spec"].get("egress", [])
    inwards = named(objects, "NetworkPolicy", f"ratchet-{target}")["spec"].get("ingress", [])

    def hits(peers: list[Object], whom: str) -> bool:
        return any(selects(peer.get("podSelector", {}).get("matchLabels", {}), labels[whom]) for peer in peers)

    return any(hits(rule.get("to", []), target) for rule in outwards) and any(
        "from" not in rule or hits(rule["from"], source) for rule in inwards
    )


def test_who_talks_to_whom_and_nobody_else() -> None:
    objects = rendered("demo")
    components = sorted({name for name, _, _ in pods(objects)})
    found = {(a, b) for a in components for b in components if a != b and reaches(objects, a, b)}
    assert found == {
        *((who, what) for who in ("signals", "leader") for what in ("postgres", "redis", "simulator")),
        ("migrate", "postgres"),
        ("test", "signals"),
        ("test", "leader"),
    }


def test_only_the_leader_is_let_out_to_the_api_server() -> None:
    for policy in of_kind(rendered("external"), "NetworkPolicy"):
        cidrs = {
            peer["ipBlock"]["cidr"]
            for rule in policy["spec"].get("egress", [])
            for peer in rule.get("to", [])
            if "ipBlock" in peer
        }
        assert ("10.96.0.1/32" in cidrs) == (policy["metadata"]["name"] == "ratchet-leader")


@pytest.mark.parametrize("name", RENDERED)
def test_every_volume_is_there_and_every_mount_has_one(name: str) -> None:
    objects = rendered(name)
    made = {found["metadata"]["name"] for kind in ("Secret", "ConfigMap") for found in of_kind(objects, kind)}
    claims = {
        spec_labels["app.kubernetes.io/component"]: [
            claim["metadata"]["name"] for claim in found["spec"]["volumeClaimTemplates"]
        ]
        for found in of_kind(objects, "StatefulSet")
        for spec_labels in [found["spec"]["template"]["metadata"]["labels"]]
    }
    for component, _, spec in pods(objects):
        volumes = {volume["name"] for volume in spec["volumes"]} | set(claims.get(component, []))
        mounted = {mount["name"] for container in containers(spec) for mount in container.get("volumeMounts", [])}
        assert mounted == volumes, component
        assert _referred(spec) <= made | MADE_ELSEWHERE, component


def _referred(spec: Object) -> set[str]:
    names = set()
    for volume in spec["volumes"]:
        for source in (volume, *volume.get("projected", {}).get("sources", [])):
            names |= {
                part.get("name") or part.get("secretName")
                for key, part in source.items()
                if key in ("secret", "configMap")
            }
    return names


@pytest.mark.parametrize("name", RENDERED)
def test_liveness_and_readiness_ask_different_things_of_our_servers(name: str) -> None:
    for component in ("signals", "leader"):
        (container,) = pod(rendered(name), component)["containers"]
        assert container["livenessProbe"]["httpGet"]["path"] == "/livez"
        assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
        assert container["startupProbe"]["httpGet"]["path"] == "/livez"


@pytest.mark.parametrize("name", RENDERED)
def test_who_scales_sets_the_replicas_alone(name: str) -> None:
    signals = named(rendered(name), "Deployment", "ratchet-signals")
    scalers = of_kind(rendered(name), "HorizontalPodAutoscaler") + of_kind(rendered(name), "ScaledObject")
    assert len(scalers) == (0 if name == "plain" else 1)
    assert ("replicas" in signals["spec"]) == (not scalers)
    for scaler in scalers:
        assert scaler["spec"]["scaleTargetRef"]["name"] == "ratchet-signals"


def test_the_lease_has_no_spec_that_an_upgrade_could_write() -> None:
    lease = named(rendered("demo"), "Lease", "ratchet-leader")
    assert "spec" not in lease
    assert (
        environment(pod(rendered("demo"), "leader")["containers"][0])["RATCHET_LEADER__LEASE_NAME"] == "ratchet-leader"
    )


def test_the_migration_is_a_plain_job_with_a_name_of_its_content() -> None:
    jobs = {name: of_kind(rendered(name), "Job")[0] for name in RENDERED}
    assert len({job["metadata"]["name"] for job in jobs.values()}) == len(RENDERED)
    assert all("helm.sh/hook" not in job["metadata"].get("annotations", {}) for job in jobs.values())
    assert jobs["demo"] == of_kind(rendered("demo", "1.37.0"), "Job")[0]


def test_only_tests_are_hooks_and_they_stay_for_their_logs() -> None:
    for name in RENDERED:
        for found in rendered(name):
            notes = found["metadata"].get("annotations") or {}
            if "helm.sh/hook" in notes:
                assert notes["helm.sh/hook"] == "test"
                assert notes["helm.sh/hook-delete-policy"] == "before-hook-creation"


def test_a_password_with_any_letters_survives_its_url() -> None:
    data = named(rendered("demo"), "Secret", "ratchet-postgres")["data"]
    url = urlsplit(base64.b64decode(data["url"]).decode())
    assert unquote(url.password or "") == base64.b64decode(data["password"]).decode() == "p@ss/word with:signs"
    assert (url.hostname, url.port, url.path) == ("ratchet-postgres", 5432, "/ratchet")


def test_each_bundled_pod_goes_where_the_values_want_it() -> None:
    postgres, redis, simulator = (pod(rendered("demo"), name) for name in ("postgres", "redis", "simulator"))
    assert postgres["nodeSelector"] == {"disks": "fast"}
    assert postgres["tolerations"] == [{"key": "disks", "operator": "Exists"}]
    assert redis["affinity"] == {"nodeAffinity": {}}
    assert simulator["priorityClassName"] == "low"


def test_a_read_replica_is_for_the_signal_pods_alone() -> None:
    objects = rendered("demo")
    (signals,) = containers(pod(objects, "signals"))
    assert environment(signals)["RATCHET_DATABASE_REPLICA_URL_FILE"] == "/run/secrets/ratchet/database-replica-url"
    assert base64.b64decode(named(objects, "Secret", "ratchet-database-replica")["data"]["url"]).endswith(b"/ratchet")
    let_out = {
        component: [
            rule
            for rule in named(objects, "NetworkPolicy", f"ratchet-{component}")["spec"]["egress"]
            if rule["ports"] == [{"port": 5432, "protocol": "TCP"}] and "ipBlock" in rule["to"][0]
        ]
        for component in ("signals", "leader")
    }
    assert (len(let_out["signals"]), let_out["leader"]) == (1, [])
