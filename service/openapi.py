"""The OpenAPI description: what FastAPI knows, and by hand what stands outside of it: door, probes, page."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

import ratchet
from ratchet.config.sections import HttpSettings
from service.messages import SCHEMAS
from service.problems import Problem
from service.schemas import Health, Receipt
from service.schemas import Problem as ProblemShape

Document = dict[str, Any]

_ANYWHERE = (
    Problem.INVALID_REQUEST,
    Problem.SLOW_REQUEST,
    Problem.TOO_LARGE,
    Problem.TOO_MANY_REQUESTS,
    Problem.OVERLOADED,
)
_READING = (Problem.UNAUTHORIZED, Problem.DATABASE_AWAY)
_DOOR = (
    Problem.INVALID_SIGNAL,
    Problem.UNAUTHORIZED,
    Problem.FORBIDDEN_SOURCE,
    Problem.TOO_LARGE,
    Problem.SLOW_REQUEST,
    Problem.NOT_DURABLE,
)
_DESCRIPTION = (
    "Takes trading signals and executes each exactly once. An answer to a signal comes after it was stored durably and "
    "never waits for the broker. Rupees and prices are exact decimals, written as strings."
)
_TOKEN_IN_PATH: Document = {
    "name": "token",
    "in": "path",
    "required": True,
    "description": "The webhook's token; it decides whose signal this is.",
    "schema": {"type": "string", "minLength": 16, "pattern": "^[A-Za-z0-9._~-]+$"},
}
_TOKEN_IN_QUERY: Document = {
    "name": "token",
    "in": "query",
    "required": False,
    "description": "The webhook's token; else it stands in the message as `token`.",
    "schema": {"type": "string"},
}


def describe(app: FastAPI, http: HttpSettings) -> Document:
    """Return the whole description."""
    document = get_openapi(title="Ratchet", version=ratchet.__version__, description=_DESCRIPTION, routes=app.routes)
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    schemas |= SCHEMAS
    for shape in (ProblemShape, Receipt, Health):
        schema = shape.model_json_schema(ref_template="#/components/schemas/{model}", mode="serialization")
        schemas |= schema.pop("$defs", {})
        schemas[shape.__name__] = schema
    for item in document["paths"].values():
        for operation in item.values():
            _complete(operation, http)
    for path, item in (_door_paths() | _probe_paths() | _page_path()).items():
        document["paths"].setdefault(path, {}).update(item)
    return document


def _complete(operation: Document, http: HttpSettings) -> None:
    """Give a reading route the refusals that the gate and the handlers add, and the bounds that are settings."""
    operation["responses"].pop("422", None)
    refusals = [*_ANYWHERE, *_READING]
    if "signal_id" in operation.get("operationId", ""):
        refusals.append(Problem.NOT_FOUND)
    operation["responses"] |= problems(*refusals)
    for parameter in operation.get("parameters", ()):
        if parameter["name"] == "limit":
            for schema in parameter["schema"].get("anyOf", [parameter["schema"]]):
                if schema.get("type") == "integer":
                    schema["maximum"] = http.page_size_limit


def problems(*kinds: Problem) -> Document:
    """Return the responses for these problems; several of one status share an entry."""
    responses: Document = {}
    for kind in sorted(set(kinds), key=lambda kind: (kind.status, kind.slug)):
        entry = responses.setdefault(
            str(kind.status),
            {
                "description": "",
                "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
            },
        )
        entry["description"] = " ".join(filter(None, (entry["description"], f"{kind.title}.")))
        if kind.retry_after is not None:
            entry["headers"] = {
                "Retry-After": {"description": "Seconds until a retry makes sense.", "schema": {"type": "integer"}}
            }
    return responses


def _handing_in(operation_id: str, summary: str, parameters: list[Document], security: list[Document]) -> Document:
    receipt = {"application/json": {"schema": {"$ref": "#/components/schemas/Receipt"}}}
    message = {"schema": {"$ref": "#/components/schemas/Message"}}
    return {
        "operationId": operation_id,
        "summary": summary,
        "description": "The message is JSON, whatever its Content-Type. The first field that breaks a rule is named.",
        "tags": ["signals"],
        "parameters": parameters,
        "security": security,
        "requestBody": {"required": True, "content": {"application/json": message}},
        "responses": {
            "200": {"description": "Known already: the first one's id and status.", "content": receipt},
            "202": {"description": "New, and stored durably.", "content": receipt},
            **problems(*_ANYWHERE, *_DOOR),
        },
    }


def _door_paths() -> Document:
    def chosen(name: str) -> Document:
        return {"name": name, "in": "query", "required": False, "schema": {"type": "string", "maxLength": 64}}

    return {
        "/webhook/{token}": {
            "post": _handing_in("post_webhook_with_token", "Hand in a signal", [_TOKEN_IN_PATH], []),
        },
        "/webhook": {
            "post": _handing_in("post_webhook", "Hand in a signal, its token elsewhere", [_TOKEN_IN_QUERY], []),
        },
        "/signals": {
            "post": _handing_in(
                "post_signal",
                "Hand in a signal for any account",
                [chosen("account"), chosen("strategy")],
                [{"apiToken": []}],
            ),
        },
    }


def _probe_paths() -> Document:
    def probe(
        name: str, summary: str, *, kind: str = "application/json", no: str | None = None, shape: str | None = None
    ) -> Document:
        schema = {"type": "object"} if kind == "application/json" else {"type": "string"}
        if shape is not None:
            schema = {"$ref": f"#/components/schemas/{shape}"}
        content = {kind: {"schema": schema}}
        responses: Document = {"200": {"description": "Yes." if no else "OK.", "content": content}}
        if no:
            responses["503"] = {"description": no, "content": {"application/json": {"schema": {"type": "object"}}}}
        return {"get": {"operationId": name, "summary": summary, "tags": ["probes"], "responses": responses}}

    return {
        "/livez": probe("livez", "Whether the process can still work", no="No."),
        "/readyz": probe("readyz", "Whether requests should come here", no="No, with the reason."),
        "/health": probe("health", "How this process is, for people", no="No answer in time.", shape="Health"),
        "/metrics": probe("metrics", "Metrics for Prometheus", kind="text/plain", no="No answer in time."),
    }


def _page_path() -> Document:
    html = {"text/html": {"schema": {"type": "string"}}}
    return {
        "/": {
            "get": {
                "operationId": "page",
                "summary": "A page for people",
                "tags": ["probes"],
                "responses": {"200": {"description": "OK.", "content": html}, **problems(*_ANYWHERE)},
            }
        }
    }
