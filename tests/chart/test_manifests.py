"""The plain manifests are the chart's own, made current, and kustomize builds from them what the chart would render."""

import subprocess

import pytest
import yaml

from charts import helm, manifests
from tests.chart.objects import named

BY_HAND = {
    ("Namespace", "ratchet"),
    ("Secret", "ratchet-secrets"),
    ("Secret", "ratchet-postgres"),
    ("Secret", "ratchet-redis"),
}


def test_the_manifests_are_current() -> None:
    stale = [str(path) for path, text in manifests.files().items() if path.read_text("utf-8") != text]
    assert stale == [], "run `python charts/manifests.py`"


@pytest.mark.parametrize("overlay", manifests.OVERLAYS)
def test_an_overlay_builds_what_the_chart_renders(overlay: str) -> None:
    kubectl = helm.find("kubectl")
    if kubectl is None:
        pytest.skip("kubectl is neither on PATH nor named by KUBECTL")
    command = [kubectl, "kustomize", str(manifests.K8S / "overlays" / overlay)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    built = {}
    for item in yaml.safe_load_all(done.stdout):
        assert item["kind"] == "Namespace" or item["metadata"].pop("namespace") == "ratchet"
        built[(item["kind"], item["metadata"]["name"])] = item
    assert built.keys() - BY_HAND == manifests.objects(overlay).keys()
    assert {key: item for key, item in built.items() if key not in BY_HAND} == manifests.objects(overlay)


@pytest.mark.parametrize("overlay", manifests.OVERLAYS)
def test_the_namespace_refuses_what_is_not_restricted(overlay: str) -> None:
    text = (manifests.K8S / "overlays" / overlay / "namespace.yaml").read_text("utf-8")
    assert yaml.safe_load(text)["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


SECRETS = (
    "--set=secrets.webhookToken=webhook-token-01,secrets.apiToken=api-token-012345,secrets.openalgoApiKey=k",
    "--set=postgres.bundled.password=p,redis.bundled.password=r",
)
FILES = ["k8s/kind-values.yaml", "k8s/sync-values.yaml"]


def test_what_skaffold_and_kind_deploy_renders() -> None:
    objects = tuple(helm.render([manifests.ROOT / name for name in FILES], *SECRETS))
    signals = named(objects, "Deployment", "ratchet-signals")["spec"]["template"]["spec"]
    assert {"name": "source", "mountPath": "/app"} in signals["containers"][0]["volumeMounts"]
    (port,) = named(objects, "Service", "ratchet")["spec"]["ports"]
    cluster = yaml.safe_load((manifests.K8S / "kind.yaml").read_text("utf-8"))
    (mapped,) = [mapping for node in cluster["nodes"] for mapping in node.get("extraPortMappings", [])]
    assert port["nodePort"] == mapped["containerPort"]


@pytest.mark.without_helm
def test_skaffold_names_files_that_are_there() -> None:
    config = yaml.safe_load((manifests.ROOT / "skaffold.yaml").read_text("utf-8"))
    (release,) = config["deploy"]["helm"]["releases"]
    patches = [patch for profile in config["profiles"] for patch in profile.get("patches", [])]
    added = [patch["value"] for patch in patches if patch["path"].endswith("/valuesFiles/-")]
    (artifact,) = config["build"]["artifacts"]
    for name in (*release["valuesFiles"], *added, release["chartPath"], artifact["docker"]["dockerfile"]):
        assert (manifests.ROOT / name).exists(), name
    assert set(FILES) == {*release["valuesFiles"], *added}
