"""Renderings of the chart, each made once, and ways to look into them."""

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from charts import helm

Object = dict[str, Any]

CI = helm.CHART / "ci"
RENDERED = ("demo", "external", "operators", "plain")
"""The values files that need no cluster."""

KUBERNETES = ("1.29.0", "1.31.0", "1.34.0", "1.37.0")


def values_file(name: str) -> Path:
    """Return the path of a values file of the chart's ci folder."""
    return CI / f"{name}-values.yaml"


@cache
def rendered(name: str, kube: str = "1.35.0") -> tuple[Object, ...]:
    """Return the objects of the chart with a values file."""
    return tuple(helm.render([values_file(name)], kube=kube))


def of_kind(objects: tuple[Object, ...], kind: str) -> list[Object]:
    """Return the objects of a kind."""
    return [found for found in objects if found["kind"] == kind]


def named(objects: tuple[Object, ...], kind: str, name: str) -> Object:
    """Return one object."""
    (found,) = [found for found in of_kind(objects, kind) if found["metadata"]["name"] == name]
    return found


def pods(objects: tuple[Object, ...]) -> Iterator[tuple[str, Object, Object]]:
    """Yield component, labels and pod spec of everything that makes pods."""
    for found in objects:
        match found:
            case {"kind": "Pod", "metadata": {"labels": labels}, "spec": spec}:
                yield labels["app.kubernetes.io/component"], labels, spec
            case {"spec": {"template": {"metadata": {"labels": labels}, "spec": spec}}}:
                yield labels["app.kubernetes.io/component"], labels, spec


def pod(objects: tuple[Object, ...], component: str) -> Object:
    """Return the pod spec of a component."""
    (spec,) = [spec for name, _, spec in pods(objects) if name == component]
    return spec


def containers(spec: Object) -> list[Object]:
    """Return all containers of a pod."""
    return [*spec.get("initContainers", []), *spec["containers"]]


def selects(selector: Mapping[str, str], labels: Mapping[str, str]) -> bool:
    """Whether a selector picks these labels; an empty one picks nothing here."""
    return bool(selector) and selector.items() <= labels.items()


def environment(container: Object) -> dict[str, Any]:
    """Return a container's environment: the value, or where it comes from."""
    return {entry["name"]: entry.get("value", entry.get("valueFrom")) for entry in container.get("env", [])}
