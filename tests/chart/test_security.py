"""Every pod of every values file is what the restricted level asks for, and asks for no more than it needs."""

import re
from datetime import date
from uuid import UUID

import pytest

from charts import helm
from leader.rolls import Roll, name_of
from ratchet.domain.rollover import RolloverStatus
from tests.chart.objects import RENDERED, containers, environment, named, of_kind, pod, pods, rendered, values_file

OUR_USER = 10001
IMAGES_USERS = {"postgres": 999, "redis": 999}
"""These images have data folders and a passwd entry of their own user."""


@pytest.mark.parametrize("name", RENDERED)
def test_every_pod_is_restricted(name: str) -> None:
    for component, _, spec in pods(rendered(name)):
        security = spec["securityContext"]
        assert security["runAsNonRoot"] is True, component
        assert security["runAsUser"] == IMAGES_USERS.get(component, OUR_USER), component
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}, component
        assert not {"hostNetwork", "hostPID", "hostIPC"} & spec.keys(), component
        assert all("hostPath" not in volume for volume in spec.get("volumes", [])), component
        for container in containers(spec):
            own = container["securityContext"]
            assert own["allowPrivilegeEscalation"] is False, component
            assert own["readOnlyRootFilesystem"] is True, component
            assert own["capabilities"] == {"drop": ["ALL"]}, component
            assert "privileged" not in own, component
            assert all("hostPort" not in port for port in container.get("ports", [])), component


@pytest.mark.parametrize("name", RENDERED)
def test_every_container_has_requests_and_limits(name: str) -> None:
    for component, _, spec in pods(rendered(name)):
        for container in containers(spec):
            for bound in ("requests", "limits"):
                assert container["resources"][bound].keys() == {"cpu", "memory", "ephemeral-storage"}, component


@pytest.mark.parametrize("name", RENDERED)
def test_no_probe_or_hook_names_a_host(name: str) -> None:
    for component, _, spec in pods(rendered(name)):
        for container in containers(spec):
            for field in ("startupProbe", "readinessProbe", "livenessProbe"):
                for way in ("httpGet", "tcpSocket"):
                    assert "host" not in container.get(field, {}).get(way, {}), component


@pytest.mark.parametrize("name", RENDERED)
def test_no_pod_but_the_leader_can_speak_to_the_api_server(name: str) -> None:
    for component, _, spec in pods(rendered(name)):
        tokens = [
            source["serviceAccountToken"]
            for volume in spec.get("volumes", [])
            for source in volume.get("projected", {}).get("sources", [])
            if "serviceAccountToken" in source
        ]
        assert spec["automountServiceAccountToken"] is False, component
        wanted = component == "leader" and name != "plain"
        assert tokens == ([{"path": "token", "expirationSeconds": 3600}] if wanted else []), component
    assert all(
        account["automountServiceAccountToken"] is False for account in of_kind(rendered(name), "ServiceAccount")
    )


def test_the_leader_may_write_its_lease_and_events_and_nothing_else() -> None:
    assert named(rendered("demo"), "Role", "ratchet-leader")["rules"] == [
        {
            "apiGroups": ["coordination.k8s.io"],
            "resources": ["leases"],
            "resourceNames": ["ratchet-leader"],
            "verbs": ["get", "update", "patch", "watch"],
        },
        {"apiGroups": ["events.k8s.io"], "resources": ["events"], "verbs": ["create"]},
    ]


def test_the_right_to_create_leases_is_an_option() -> None:
    rules = named(rendered("operators"), "Role", "ratchet-leader")["rules"]
    assert {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["create"]} in rules


def test_leases_of_rollovers_are_an_option_that_a_policy_can_hold_to_their_names() -> None:
    wanted = {
        "apiGroups": ["coordination.k8s.io"],
        "resources": ["leases"],
        "verbs": ["get", "create", "update", "delete"],
    }
    assert wanted in named(rendered("external"), "Role", "ratchet-leader")["rules"]
    assert wanted not in named(rendered("demo"), "Role", "ratchet-leader")["rules"]
    objects = tuple(helm.render([values_file("external")], "--set", "leader.admissionPolicy=true"))
    policy = named(objects, "ValidatingAdmissionPolicy", "ratchet-ratchet-leader")["spec"]
    roll = Roll(
        id=UUID(int=1),
        account="main",
        instrument="GOLD_MINI",
        layer="Long_1",
        contract="GOLDM05JAN27FUT",
        expiry=date(2027, 1, 5),
        state=RolloverStatus.PENDING,
    )
    prefixes = re.findall(r'startsWith\("([^"]+)"\)', policy["validations"][0]["expression"])
    assert [name_of(roll).startswith(prefix) for prefix in prefixes] == [True]
    assert "system:serviceaccount:ratchet:ratchet-leader" in policy["matchConditions"][0]["expression"]


def test_the_label_of_who_leads_is_an_option_that_a_policy_can_hold_to_the_own_pod() -> None:
    wanted = {"apiGroups": [""], "resources": ["pods"], "verbs": ["patch"]}
    variable = "RATCHET_LEADER__ROLE_LABEL"
    assert wanted not in named(rendered("demo"), "Role", "ratchet-leader")["rules"]
    assert variable not in environment(pod(rendered("demo"), "leader")["containers"][0])
    options = ("--set", "leader.admissionPolicy=true", "--set", "leader.roleLabel=true")
    objects = tuple(helm.render([values_file("demo")], *options))
    assert wanted in named(objects, "Role", "ratchet-leader")["rules"]
    assert environment(pod(objects, "leader")["containers"][0])[variable] == "true"
    policy = named(objects, "ValidatingAdmissionPolicy", "ratchet-ratchet-leader")["spec"]
    assert [rule["resources"] for rule in policy["matchConstraints"]["resourceRules"]] == [["leases"], ["pods"]]


def test_with_a_lease_in_the_database_there_is_no_right_at_all() -> None:
    kinds = {found["kind"] for found in rendered("plain")}
    assert not kinds & {"Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding", "Lease"}


@pytest.mark.parametrize("name", RENDERED)
def test_nothing_is_granted_in_the_whole_cluster(name: str) -> None:
    assert not {found["kind"] for found in rendered(name)} & {"ClusterRole", "ClusterRoleBinding"}


@pytest.mark.parametrize("name", RENDERED)
def test_secrets_reach_our_pods_as_files_only(name: str) -> None:
    for component, _, spec in pods(rendered(name)):
        for container in containers(spec):
            taken = {
                key
                for key, value in environment(container).items()
                if isinstance(value, dict) and "secretKeyRef" in value
            }
            assert taken == ({"REDISCLI_AUTH"} if component == "redis" else set()), component


def test_a_pod_gets_no_secret_that_it_does_not_use() -> None:
    found = {}
    for component in ("signals", "leader", "migrate", "simulator"):
        (volume,) = [volume for volume in pod(rendered("demo"), component)["volumes"] if volume["name"] == "secrets"]
        found[component] = {
            item["path"] for source in volume["projected"]["sources"] for item in source["secret"]["items"]
        }
    assert found == {
        "signals": {
            *("database-url", "database-replica-url", "redis-url"),
            *("openalgo-api-key", "webhook-token", "api-token"),
        },
        "leader": {"database-url", "redis-url", "openalgo-api-key"},
        "migrate": {"database-url"},
        "simulator": {"openalgo-api-key"},
    }
