"""What kubectl complains about is told in words that say what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from ratchet.cli.exits import Exit
from ratchet.cli.output import CommandFailed
from ratchet.kubectl.kubectl import Kubectl, NotFound
from tests.unit.kubectl.fake import FakeKubectl

FORBIDDEN = (
    'Error from server (Forbidden): leases.coordination.k8s.io "ratchet-leader" is forbidden: User "bob" cannot patch '
    'resource "leases" in API group "coordination.k8s.io" in the namespace "trading"'
)
FORBIDDEN_EXEC = (
    'Error from server (Forbidden): pods "a" is forbidden: User "system:serviceaccount:ops:bob" cannot create resource '
    '"pods/exec" in API group "" in the namespace "trading"'
)
FORBIDDEN_NODE = (
    'Error from server (Forbidden): nodes "n" is forbidden: User "bob" cannot get resource "nodes" in API group "" at '
    "the cluster scope"
)
REFUSED = "The connection to the server 127.0.0.1:1 was refused - did you specify the right host or port?"
REFUSED_LATER = "Unable to connect to the server: dial tcp 10.99.0.2:6443: connect: connection refused"
STRANGER = "error: You must be logged in to the server (Unauthorized)"
NO_CONTEXT = "Error in configuration: context was not found for specified context: nope"
NO_FILE = "error: stat /nowhere: no such file or directory"
CERTIFICATE = "Unable to connect to the server: tls: failed to verify certificate: x509: certificate has expired"


def failed(fake: FakeKubectl, said: str) -> CommandFailed:
    fake.when("get", "lease", err=said, code=1)
    with pytest.raises(CommandFailed) as caught:
        Kubectl().json("get", "lease", "ratchet-leader")
    return caught.value


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (
            FORBIDDEN,
            ("patch leases.coordination.k8s.io in namespace trading", "create role", "--verb=patch", "--user=bob"),
        ),
        (FORBIDDEN_EXEC, ("create pods/exec", "--resource=pods/exec", "-n trading", "system:serviceaccount:ops:bob")),
        (FORBIDDEN_NODE, ("get nodes in the cluster", "create clusterrole", "create clusterrolebinding")),
    ],
)
def test_what_is_forbidden_names_the_verb_the_resource_and_the_role_to_ask_for(
    fake: FakeKubectl, said: str, told: tuple[str, ...]
) -> None:
    error = failed(fake, said)
    assert error.exit_code is Exit.UNREACHABLE
    assert [words for words in told if words not in str(error)] == []


@pytest.mark.parametrize(
    ("said", "told", "code"),
    [
        (REFUSED, "the API server does not answer", Exit.UNREACHABLE),
        (REFUSED_LATER, "the API server does not answer", Exit.UNREACHABLE),
        (CERTIFICATE, "x509: certificate has expired", Exit.UNREACHABLE),
        (STRANGER, "log in again", Exit.UNREACHABLE),
        (NO_CONTEXT, "--context", Exit.USAGE),
        (NO_FILE, "--kubeconfig", Exit.USAGE),
        ("error: something new", "kubectl get: error: something new", Exit.FOUND),
        ("", "no reason given", Exit.FOUND),
    ],
)
def test_each_complaint_has_its_sentence_and_its_exit_code(fake: FakeKubectl, said: str, told: str, code: Exit) -> None:
    error = failed(fake, said)
    assert told in str(error)
    assert error.exit_code is code


def test_what_is_not_there_is_an_error_of_its_own(fake: FakeKubectl) -> None:
    fake.when("get", err='Error from server (NotFound): leases.coordination.k8s.io "x" not found', code=1)
    with pytest.raises(NotFound):
        Kubectl().json("get", "lease", "x")


def test_a_kubectl_that_hangs_is_given_up(fake: FakeKubectl) -> None:
    (fake.folder / "kubectl").write_text("#!/bin/sh\nexec sleep 60\n", encoding="utf-8")
    with pytest.raises(CommandFailed, match="no answer within 0 s") as caught:
        Kubectl().text("get", "pods", seconds=0.2)
    assert caught.value.exit_code is Exit.UNREACHABLE


def test_without_kubectl_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CommandFailed, match="not on PATH") as caught:
        Kubectl().text("get", "pods")
    assert caught.value.exit_code is Exit.UNREACHABLE


def test_the_person_s_flags_and_a_time_out_go_with_every_call(fake: FakeKubectl) -> None:
    fake.when("get", "pods", says={"items": []})
    Kubectl(namespace="trading", context="blue", kubeconfig="/etc/k").json("get", "pods")
    words = fake.calls("get")[0]
    assert words[:6] == ["--namespace", "trading", "--context", "blue", "--kubeconfig", "/etc/k"]
    assert "--request-timeout=10s" in words


def test_a_command_inside_a_pod_that_fails_is_told_from_a_kubectl_that_fails(fake: FakeKubectl) -> None:
    fake.when("exec", "mine", says="half", err="error: odd\ncommand terminated with exit code 3", code=3)
    fake.when("exec", "yours", err=FORBIDDEN_EXEC, code=1)
    done = Kubectl().inside("mine", "signals", "ratchet", "verify")
    assert (done.code, done.out, done.err) == (3, "half", "error: odd")
    with pytest.raises(CommandFailed, match="may not create pods/exec"):
        Kubectl().inside("yours", "signals", "ratchet", "verify")


def test_what_is_no_json_is_a_failure(fake: FakeKubectl) -> None:
    fake.when("get", says="no resources")
    with pytest.raises(CommandFailed, match="something else than JSON"):
        Kubectl().json("get", "pods")
