"""Runs helm on the chart, without a cluster."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

CHART = Path(__file__).resolve().parent / "ratchet"
LIMIT_SECONDS = 60
PLACES = ("/var/cache/test-cluster/bin",)
"""Where a program may be besides PATH."""

OPERATORS = (
    "postgresql.cnpg.io/v1",
    "keda.sh/v1alpha1",
    "monitoring.coreos.com/v1",
    "gateway.networking.k8s.io/v1",
    "cilium.io/v2",
)
"""API groups that a cluster may serve or not."""


class HelmFailed(Exception):
    """helm refused; the text is what it said."""


def find(name: str) -> str | None:
    """Return the path of a program: what the variable of its name says (HELM, KUBECTL), PATH, or a known place."""
    chosen = os.environ.get(name.upper())  # noqa: TID251 - no setting of the product
    return chosen or shutil.which(name) or shutil.which(name, path=os.pathsep.join(PLACES))


def run(*arguments: str) -> str:
    """Run helm and return what it printed. Raises HelmFailed, also if there is no helm."""
    helm = find("helm")
    if helm is None:
        raise HelmFailed("there is no helm on PATH; name one by HELM=/path/to/helm")
    done = subprocess.run([helm, *arguments], capture_output=True, text=True, timeout=LIMIT_SECONDS, check=False)
    if done.returncode:
        raise HelmFailed(done.stderr.strip())
    return done.stdout


def render(
    files: Sequence[Path] = (), *options: str, kube: str = "1.35.0", operators: bool = True
) -> list[dict[str, Any]]:
    """Return the objects of a release named ratchet in namespace ratchet. Raises HelmFailed."""
    arguments = ["template", "ratchet", str(CHART), "--namespace", "ratchet", "--kube-version", kube]
    for group in OPERATORS if operators else ():
        arguments += ["--api-versions", group]
    for file in files:
        arguments += ["--values", str(file)]
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return [found for found in yaml.load_all(run(*arguments, *options), loader) if found]
