"""Whatever a client sends that fits the description, or does not: the answer is described, and never a 500."""

import json
import urllib.error
import urllib.request
from typing import Any, cast

import jsonschema_rs
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import load_all_checks, not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.integration.service import rows
from tests.integration.service.running import API_TOKEN, WEBHOOK_TOKEN, Pod, entry

BEARER = {"authorization": f"Bearer {API_TOKEN}"}
EXAMPLES = 15
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]

HANDING_IN = ("POST /webhook/{token}", "POST /webhook", "POST /signals")
READING = (
    "GET /signals",
    "GET /signals/{signal_id}",
    "GET /positions",
    "GET /orders",
    "GET /portfolio",
    "GET /incidents",
    "GET /instruments",
)
LOOKING = ("GET /", "GET /livez", "GET /readyz", "GET /health", "GET /metrics")
"""These have no parameters that could be wrong."""

CONDITIONS = ("rsi_condition", "ema_condition", "dc_condition", "adx_condition", "er_condition", "st_condition")
MESSAGES: list[dict[str, Any]] = [
    entry(timestamp="2027-02-01T10:00:00"),
    entry(type="PYRAMID", position="Long_3", timestamp="2027-02-01T10:00:00+05:30", roc=None),
    entry(type="EXIT", position="ALL", stop=0, reason="SuperTrend", entry_price="134600.25"),
    {"type": "MARKET_DATA", "instrument": "COPPER", "timestamp": "2027-01-13T11:30:00", "price": 917.85}
    | {"atr": "3.15", "supertrend": 919.1},
    {"type": "EOD_MONITOR", "instrument": "COPPER", "timestamp": "2027-01-13T11:30:00Z", "price": 917.85}
    | {"conditions": dict.fromkeys((*CONDITIONS, "not_doji", "long_entry", "long_exit"), True)}
    | {"indicators": {"rsi": 73, "ema": 1, "dc_upper": 2, "adx": 12, "er": 0.8, "supertrend": 900, "atr": 3}},
]

load_all_checks()


@pytest.fixture(scope="session")
def description(service: Pod) -> dict[str, Any]:
    """The description as the service hands it out."""
    with urllib.request.urlopen(f"{service.url}/openapi.json") as answer:
        found: dict[str, Any] = json.load(answer)
        return found


@pytest.fixture(scope="session")
def operations(description: dict[str, Any]) -> dict[str, Any]:
    """Every operation of the description, by its label."""
    schema = schemathesis.openapi.from_dict(description)
    found: list[Any] = [cast(Any, operation).ok() for operation in schema.get_all_operations()]
    return {operation.label: operation for operation in found}


def test_every_route_is_described(description: dict[str, Any], operations: dict[str, Any]) -> None:
    assert set(operations) == {*HANDING_IN, *READING, *LOOKING}
    assert len(description["components"]["schemas"]["Message"]["oneOf"]) == 5


def test_every_reference_leads_somewhere(description: dict[str, Any]) -> None:
    text = json.dumps(description)
    for piece in text.split('"#/components/schemas/')[1:]:
        assert piece.partition('"')[0] in description["components"]["schemas"]


@pytest.mark.parametrize(
    ("label", "mode"),
    [
        *((label, GenerationMode.POSITIVE) for label in (*HANDING_IN, *READING, *LOOKING)),
        *((label, GenerationMode.NEGATIVE) for label in (*HANDING_IN, *READING)),
    ],
)
def test_every_answer_is_described_and_none_is_a_500(
    service: Pod, operations: dict[str, Any], label: str, mode: GenerationMode
) -> None:
    @given(case=operations[label].as_strategy(generation_mode=mode))
    @settings(max_examples=EXAMPLES, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
    def ask(case: Any) -> None:
        if mode is GenerationMode.POSITIVE and "token" in case.path_parameters:
            case.path_parameters["token"] = WEBHOOK_TOKEN
        case.call_and_validate(base_url=service.url, headers=BEARER, checks=CHECKS)

    ask()


@given(body=st.binary(max_size=300) | st.text(max_size=100).map(str.encode))
@settings(max_examples=50)
def test_no_bytes_at_the_webhook_make_an_error_of_ours(service: Pod, body: bytes) -> None:
    request = urllib.request.Request(f"{service.url}/webhook/{WEBHOOK_TOKEN}", data=body, method="POST")
    try:
        with urllib.request.urlopen(request) as answer:
            assert answer.status in (200, 202)
    except urllib.error.HTTPError as error:
        assert error.code == 400
        assert json.load(error)["field"]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message["type"])
def test_the_messages_that_the_charts_send_fit_their_description(
    service: Pod, operations: dict[str, Any], message: dict[str, Any]
) -> None:
    case = operations["POST /webhook/{token}"].Case(
        path_parameters={"token": WEBHOOK_TOKEN}, body=message, media_type="application/json"
    )
    assert case.call_and_validate(base_url=service.url, checks=CHECKS).status_code == 202
    schemas = operations["POST /webhook/{token}"].schema.raw_schema["components"]["schemas"]
    schema = {"$ref": "#/components/schemas/Message", "components": {"schemas": schemas}}
    jsonschema_rs.validator_for(schema).validate(message)


def test_a_shown_signal_fits_its_description(service: Pod, operations: dict[str, Any]) -> None:
    case = operations["GET /signals/{signal_id}"].Case(path_parameters={"signal_id": str(rows.uuid(1))})
    assert case.call_and_validate(base_url=service.url, headers=BEARER, checks=CHECKS).status_code == 200
