"""The page of the HTTP API, from the OpenAPI description that the service hands out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from fastapi import FastAPI

from docs.markdown import NOTE, code, table
from ratchet.config.sections import HttpSettings
from service import lists, page, signals
from service.openapi import describe

Shape = Mapping[str, Any]


def http_api() -> str:
    """Return the page of the HTTP API."""
    app = FastAPI()
    for router in (signals.router, lists.router, page.router):
        app.include_router(router)
    document = describe(app, HttpSettings())
    operations = list(_operations(document))
    parts = [
        "# HTTP API",
        NOTE,
        "The whole description is at `/openapi.json` of a running service. Who sends signals needs the webhook's token "
        "(in the path, as `?token=`, or as the field `token`); everything else but probes asks for the bearer token "
        "`RATCHET_API_TOKEN`. Every refusal is `application/problem+json` (RFC 9457) with `field` and `rule` where "
        "they apply. How to send: [send signals](../how-to/send-signals.md).",
        table(
            ("call", "does", "token"),
            ((f"`{verb} {path}`", op["summary"], _token(path, op)) for verb, path, op in operations),
        ),
    ]
    for verb, path, op in operations:
        parts += [f"## {verb} {path}", f"{op['summary']}."]
        if op.get("parameters"):
            parts.append(table(("parameter", "in", "values", "meaning"), (_parameter(p) for p in op["parameters"])))
        parts.append(table(("status", "meaning"), ((s, r["description"]) for s, r in sorted(op["responses"].items()))))
    parts.append("## Shapes")
    for name, shape in sorted(document["components"]["schemas"].items()):
        parts += list(_shape(name, shape))
    return "\n\n".join(part.rstrip() for part in parts)


def _operations(document: Shape) -> Iterator[tuple[str, str, Shape]]:
    for path, item in sorted(document["paths"].items()):
        for verb, operation in item.items():
            yield verb.upper(), path, operation


def _token(path: str, operation: Shape) -> str:
    if path.startswith("/webhook"):
        return "webhook"
    return "API" if operation.get("security") else ""


def _parameter(parameter: Shape) -> tuple[str, str, str, str]:
    needed = " (needed)" if parameter.get("required") else ""
    return (
        f"`{parameter['name']}`{needed}",
        parameter["in"],
        _kind(parameter["schema"]),
        parameter.get("description", ""),
    )


def _shape(name: str, shape: Shape) -> Iterator[str]:
    yield f"### {name}"
    if shape.get("description"):
        yield " ".join(shape["description"].split())
    if "properties" in shape:
        needed = shape.get("required", ())
        yield table(
            ("field", "values", "needed", "meaning"),
            (
                (f"`{field}`", _kind(inner), "yes" if field in needed else "", inner.get("description", ""))
                for field, inner in shape["properties"].items()
            ),
        )
    else:
        yield _kind(shape)


def _kind(shape: Shape) -> str:
    """Return in words what a value may be."""
    if "$ref" in shape:
        return f"`{shape['$ref'].rpartition('/')[2]}`"
    for several in ("anyOf", "oneOf"):
        if several in shape:
            return " or ".join(dict.fromkeys(_kind(one) for one in shape[several]))
    if "const" in shape:
        return code([shape["const"]])
    if "enum" in shape:
        return code(shape["enum"])
    kind = shape.get("type", "any")
    if isinstance(kind, list):
        return " or ".join(kind)
    if kind == "array":
        return f"list of {_kind(shape.get('items', {}))}"
    bounds = [f"{word} {shape[key]}" for key, word in _BOUNDS.items() if key in shape]
    return ", ".join([shape.get("format", kind), *bounds])


_BOUNDS = {
    "minimum": "from",
    "exclusiveMinimum": "above",
    "maximum": "to",
    "exclusiveMaximum": "below",
    "maxLength": "at most",
    "minLength": "at least",
}
