"""Makes what is written twice: the chart's schema from its values and the settings, the values page, and k8s/.

python charts/generate.py           write what differs
python charts/generate.py --check   write nothing; end with 1 if a file differs
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from ratchet.config import presets  # noqa: E402
from ratchet.config.settings import Settings  # noqa: E402
from ratchet.config.sources import SECRETS  # noqa: E402

CHART = ROOT / "charts/ratchet"
SCHEMA_FILE = CHART / "values.schema.json"
PAGE_FILE = ROOT / "docs/install/values.md"
TIMES_FILE = CHART / "files/times.yaml"

TIMES = {
    "drain": ("delay_seconds", "graceful_seconds", "lifespan_seconds"),
    "leader": (
        "lease_duration_seconds",
        "renew_deadline_seconds",
        "retry_period_seconds",
        "request_timeout_seconds",
    ),
}
"""Settings that templates calculate with, and that the values leave to the preset."""

NEEDED = {"": ("http_port", "leader", "simulator"), "leader.": ("http_port",)}
"""Settings without which a template cannot be rendered: null, which takes a key away, is refused."""

FIXED_PORT = {"type": "integer", "minimum": 1, "maximum": 65535}
"""A free port would be found by nobody."""

MADE_BY_CHART = frozenset(
    {
        *SECRETS,  # files of Secrets
        "home", "config_file", "portfolio_file", "failpoint_marker",  # where the chart mounts things
        "url",  # of commands on a person's own machine
        "simulator_port", "simulator.host", "simulator.file",  # of the chart's own simulator
        "leader.backend", "leader.role_label",  # values leader.backend and leader.roleLabel, for leaders alone
        "leader.namespace", "leader.lease_name", "leader.pod_name", "leader.pod_uid", "leader.kubeconfig",
    }
)  # fmt: skip
"""Settings that are no values: the chart knows them, or the pod does."""

TEXTS = {"type": "object", "additionalProperties": {"type": "string"}}
OBJECTS = {"type": "array", "items": {"type": "object"}}
LINES = {"type": "array", "items": {"type": "string"}}
QUANTITY = {"type": ["string", "number"]}
PORTS = {"type": "array", "items": {"type": "integer", "minimum": 1, "maximum": 65535}, "minItems": 1}
COUNT = {"type": "integer", "minimum": 1}
PATHS = {"type": "array", "items": {"type": "string", "pattern": "^/"}, "minItems": 1}

TOKEN = {"type": "string", "pattern": "^([A-Za-z0-9._~-]{16,})?$"}
"""What the program accepts as a token, or none."""


def one_of(*values: str) -> dict[str, Any]:
    """Return the schema of a choice."""
    return {"type": "string", "enum": list(values)}


SPECIAL: Mapping[str, Any] = {
    "portfolio": {"type": "string"},
    "image.pullPolicy": one_of("Always", "IfNotPresent", "Never"),
    "image.digest": {"type": "string", "pattern": "^(sha256:[0-9a-f]{64})?$"},
    "image.repository": {"type": "string", "minLength": 1},
    "signals.replicas": COUNT,
    "signals.terminationGracePeriodSeconds": COUNT,
    "signals.service.type": one_of("ClusterIP", "NodePort", "LoadBalancer"),
    "signals.service.nodePort": {"type": ["integer", "null"], "minimum": 1, "maximum": 65535},
    "autoscaling.mode": one_of("hpa", "keda", "none"),
    "autoscaling.minReplicas": {"type": "integer", "minimum": 2},
    "autoscaling.maxReplicas": {"type": "integer", "minimum": 2},
    "autoscaling.cpuUtilization": {"type": "integer", "minimum": 1, "maximum": 100},
    "autoscaling.behavior": {"type": "object"},
    "leader.replicas": {"type": "integer", "minimum": 2},
    "leader.backend": one_of("kubernetes", "database"),
    "leader.terminationGracePeriodSeconds": COUNT,
    "postgres.mode": one_of("bundled", "cnpg", "external"),
    "postgres.cnpg.instances": COUNT,
    "redis.bundled.password": {"type": "string", "pattern": '^[^"\\\\\\s]*$'},
    "secrets.webhookToken": TOKEN,
    "secrets.apiToken": TOKEN,
    "secrets.webhookTokenPrevious": TOKEN,
    "secrets.apiTokenPrevious": TOKEN,
    "redis.mode": one_of("bundled", "external", "disabled"),
    "redis.bundled.maxMemory": {"type": "string", "pattern": "^[0-9]+(kb|mb|gb)$"},
    "drain.preStopSeconds": {"type": "integer", "minimum": 0},
    "networkPolicy.signalsFrom": OBJECTS,
    "networkPolicy.metricsFrom": OBJECTS,
    "networkPolicy.extraEgress": OBJECTS,
    "ingress.paths": PATHS,
    "httpRoute.paths": PATHS,
    "httpRoute.hostnames": LINES,
    "podSecurityContext": {"type": "object"},
}
"""Where a default says too little about what may stand there."""

OPEN = {"annotations", "leaderAnnotations", "podAnnotations", "podLabels", "labels", "commonLabels", "nodeSelector"}
"""Maps of texts with keys that we do not know."""


def values() -> dict[str, Any]:
    """Return the chart's values.yaml."""
    found: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
    return found


def schema() -> dict[str, Any]:
    """Return the schema of the values, closed at each level."""
    tree = _of("", {name: value for name, value in values().items() if name != "settings"})
    tree["properties"] = {"settings": settings_schema(), **tree["properties"], "global": {"type": "object"}}
    return {"$schema": "http://json-schema.org/draft-07/schema#", "title": "Values of the chart ratchet", **tree}


def _of(path: str, value: Any) -> dict[str, Any]:
    """Return what may stand where `value` is the default."""
    name = path.rpartition(".")[2]
    if path in SPECIAL:
        return dict(SPECIAL[path])
    if name in OPEN:
        return TEXTS
    if name == "affinity":
        return {"type": "object"}
    if name == "resources":
        amounts = {"type": "object", "additionalProperties": QUANTITY}
        return _closed({"requests": amounts, "limits": amounts})
    match value:
        case dict():
            return _closed({key: _of(f"{path}.{key}".lstrip("."), inner) for key, inner in value.items()})
        case list():
            kinds: dict[str, dict[str, Any]] = {"cidrs": LINES, "ports": PORTS}
            return kinds.get(name, OBJECTS)
        case bool():
            return {"type": "boolean"}
        case int():
            return {"type": "integer", "minimum": 0}
        case None:
            return {"type": ["string", "null"]}
        case _:
            return {"type": "string"}


def _closed(properties: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": False, "properties": dict(properties)}


def settings_schema() -> dict[str, Any]:
    """Return the schema of `settings`: the program's own, by name; null means its default."""
    whole = Settings.model_json_schema()
    return _section(whole, whole["$defs"], "")


def _section(node: Mapping[str, Any], defs: Mapping[str, Any], path: str) -> dict[str, Any]:
    properties = {}
    for name, inner in node["properties"].items():
        here = f"{path}{name}"
        if here in MADE_BY_CHART:
            continue
        target = _referred(inner, defs)
        if "properties" in target:
            properties[name] = _section(target, defs, f"{here}.")
        elif name == "http_port":
            properties[name] = _leaf(inner, defs) | FIXED_PORT
        else:
            properties[name] = _leaf(inner, defs)
    needed = {"required": list(NEEDED[path])} if path in NEEDED else {}
    return _closed(properties) | needed


def _referred(node: Mapping[str, Any], defs: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = defs[node["$ref"].rpartition("/")[2]] if "$ref" in node else node
    return found


def _leaf(node: Mapping[str, Any], defs: Mapping[str, Any]) -> dict[str, Any]:
    options = [_referred(option, defs) for option in node.get("anyOf", [node])]
    kinds: list[str] = []
    leaf: dict[str, Any] = {}
    for option in options:
        kind = option.get("type", "string")
        # A list may also be one text with commas, as in the environment.
        kinds += ["array", "string"] if kind == "array" else [kind]
        bounds = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
        leaf |= {key: option[key] for key in bounds if key in option}
        if "enum" in option:
            leaf["enum"] = [*option["enum"], None]
    leaf["type"] = sorted({*kinds, "null"})
    if node.get("description"):
        leaf["description"] = " ".join(str(node["description"]).split())
    return leaf


def times() -> str:
    """Return the times of each preset as YAML."""
    defaults = {
        section: {name: fields[name].default for name in names}
        for section, names in TIMES.items()
        for fields in [type(getattr(Settings(), section)).model_fields]
    }
    by_preset = {
        preset: {
            section: {name: chosen.get(section, {}).get(name, value) for name, value in known.items()}
            for section, known in defaults.items()
        }
        for preset, chosen in {"default": {}, **presets.CHOSEN}.items()
    }
    head = "# Made from the program's settings by `python charts/generate.py`; do not edit. By preset.\n"
    return head + yaml.safe_dump(by_preset, sort_keys=False)


def settings_names() -> set[str]:
    """Return the dotted name of each setting that is a value."""
    return set(_names(settings_schema(), ""))


def _names(node: Mapping[str, Any], path: str) -> Iterator[str]:
    for name, inner in node["properties"].items():
        if "properties" in inner:
            yield from _names(inner, f"{path}{name}.")
        else:
            yield f"{path}{name}"


def page() -> str:
    """Return the page of the chart's values: each with its default and the words that stand beside it."""
    parts = [
        "# Values of the chart\n",
        "Made from `charts/ratchet/values.yaml` and its schema by `python charts/generate.py`; do not edit.\n",
        "`settings` has every name of the [settings](../reference/settings.md) in lower case, except those that the",
        "chart or the pod knows by itself:",
        ", ".join(f"`{name}`" for name in sorted(MADE_BY_CHART)) + ".\n",
        "| value | default | may be | meaning |\n| --- | --- | --- | --- |",
    ]
    words = _comments()
    for path, default, node in _rows(schema(), values(), ""):
        shown = json.dumps(default, ensure_ascii=False)
        kind = node.get("enum") or node.get("type")
        allowed = ", ".join(str(item) for item in kind) if isinstance(kind, list) else str(kind)
        meaning = words.get(path) or node.get("description", "")
        parts.append(f"| `{path}` | `{shown}` | {allowed} | {meaning} |")
    return "\n".join(parts) + "\n"


def _rows(node: Mapping[str, Any], value: Any, path: str) -> Iterator[tuple[str, Any, Mapping[str, Any]]]:
    for name, default in value.items():
        inner = node["properties"][name]
        if "properties" in inner and isinstance(default, dict) and name != "resources":
            yield from _rows(inner, default, f"{path}{name}.")
        else:
            yield f"{path}{name}", default, inner


def _comments() -> dict[str, str]:
    """Return the comments of values.yaml by the path of what they describe: above it, or behind it on its line."""
    found: dict[str, str] = {}
    stack: list[str] = []
    above: list[str] = []
    for line in (CHART / "values.yaml").read_text(encoding="utf-8").splitlines():
        if comment := re.fullmatch(r"\s*# (.*)", line):
            above.append(comment[1])
            continue
        if entry := re.match(r"(?P<indent> *)(?P<name>[A-Za-z_]\w*):(?P<rest>.*)$", line):
            stack = [*stack[: len(entry["indent"]) // 2], entry["name"]]
            behind = re.search(r"\s# (.*)$", entry["rest"])
            text = behind[1] if behind else " ".join(above)
            if text:
                found[".".join(stack)] = text.replace("|", "\\|")
        above = []
    return found


def outputs() -> dict[Path, str]:
    """Return every generated file with its text, the manifests aside."""
    return {
        SCHEMA_FILE: json.dumps(schema(), indent=1, ensure_ascii=False) + "\n",
        PAGE_FILE: page(),
        TIMES_FILE: times(),
    }


def main() -> int:
    """Write the files, or check them; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; end with 1 if a file differs")
    check = parser.parse_args().check
    stale = {path: text for path, text in outputs().items() if not path.exists() or path.read_text("utf-8") != text}
    for path, text in stale.items():
        sys.stdout.write(f"{path.relative_to(ROOT)}{' is not current' if check else ''}\n")
        if not check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
