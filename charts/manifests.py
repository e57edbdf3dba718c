"""Makes the plain manifests in k8s/ from the chart, for those who use kustomize.

python charts/manifests.py           write what differs (needs helm)
python charts/manifests.py --check   write nothing; end with 1 if a file differs

The base is the chart with k8s/base/values.yaml. An overlay is the chart with its values on top, made as a component
that adds what is new and patches what differs. The kustomization.yaml beside values.yaml is written by hand.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from charts import helm  # noqa: E402

K8S = ROOT / "k8s"
OVERLAYS = ("dev", "prod")
HEAD = "# Made from the chart by `python charts/manifests.py`; change values.yaml instead.\n"

Object = dict[str, Any]
Key = tuple[str, str]


class Dumper(yaml.SafeDumper):
    """Writes texts of several lines as they are."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


Dumper.add_representer(str, _text)


def objects(overlay: str | None = None) -> dict[Key, Object]:
    """Return what the chart renders for the base or an overlay, as kustomize would own it. Raises HelmFailed."""
    files = [K8S / "base/values.yaml"] + ([K8S / "overlays" / overlay / "values.yaml"] if overlay else [])
    found = {}
    for item in helm.render(files, "--skip-tests", operators=False):
        _disown(item)
        found[(item["kind"], item["metadata"]["name"])] = item
    return dict(sorted(found.items()))


def _disown(item: Object) -> None:
    """Take away what says that Helm manages an object."""
    labels = item["metadata"]["labels"]
    del labels["app.kubernetes.io/managed-by"], labels["helm.sh/chart"]


def files() -> dict[Path, str]:
    """Return every generated file with its text."""
    base = objects()
    made = {K8S / "base/ratchet.yaml": _documents(list(base.values()))}
    for overlay in OVERLAYS:
        wanted = objects(overlay)
        folder = K8S / "overlays" / overlay / "rendered"
        made[folder / "added.yaml"] = _documents([item for key, item in wanted.items() if key not in base])
        component: Object = {"apiVersion": "kustomize.config.k8s.io/v1alpha1", "kind": "Component"}
        component |= {"resources": ["added.yaml"], "patches": list(_patches(base, wanted))}
        made[folder / "kustomization.yaml"] = HEAD + _dump(component)
    return made


def _documents(items: list[Object]) -> str:
    return HEAD + "---\n".join(_dump(item) for item in items)


def _dump(value: Any) -> str:
    return str(yaml.dump(value, Dumper=Dumper, sort_keys=False, width=120))


def _patches(base: dict[Key, Object], wanted: dict[Key, Object]) -> Iterator[Object]:
    for (kind, name), item in base.items():
        target = {"kind": kind, "name": name}
        if (kind, name) not in wanted:
            gone = {"apiVersion": item["apiVersion"], "kind": kind, "metadata": {"name": name}, "$patch": "delete"}
            yield {"target": target, "patch": _dump(gone)}
            continue
        steps = list(_steps(item, wanted[(kind, name)], ""))
        if steps:
            yield {"target": target, "patch": _dump(steps)}


def _steps(old: Any, new: Any, path: str) -> Iterator[Object]:
    """Yield the JSON patch from one value to another; lists are replaced whole."""
    if isinstance(old, dict) and isinstance(new, dict):
        for name in sorted(old.keys() | new.keys()):
            here = f"{path}/{name.replace('~', '~0').replace('/', '~1')}"
            if name not in new:
                yield {"op": "remove", "path": here}
            elif name not in old:
                yield {"op": "add", "path": here, "value": new[name]}
            else:
                yield from _steps(old[name], new[name], here)
    elif old != new:
        yield {"op": "replace", "path": path, "value": new}


def main() -> int:
    """Write the files, or check them; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; end with 1 if a file differs")
    check = parser.parse_args().check
    stale = {path: text for path, text in files().items() if not path.exists() or path.read_text("utf-8") != text}
    for path, text in stale.items():
        sys.stdout.write(f"{path.relative_to(ROOT)}{' is not current' if check else ''}\n")
        if not check:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
