"""Reading: filters, pages, the history of a signal, and callers that ask for absurd things."""

import random
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from service import cursors
from tests.integration.service import rows
from tests.integration.service.running import API_TOKEN, PREVIOUS_API_TOKEN, Pod, running, settings_for

LISTS = ("/signals", "/positions", "/orders", "/portfolio", "/incidents", "/instruments")


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def full(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Pod]:
    """A pod whose database holds a little of everything."""
    tmp_path = tmp_path_factory.mktemp("full")
    settings = settings_for(tmp_path, http={"rate_limit_per_second": 0})
    async with running(settings) as pod:
        rows.insert(
            tmp_path,
            signal_log=[
                *(rows.signal_row(n) for n in range(1, 8)),
                rows.signal_row(8, kind="EXIT", layer="ALL", status="processing", reason=None, instrument="COPPER"),
            ],
            positions=[
                rows.position_row(1),
                rows.position_row(2, layer=2, trade_id=rows.uuid(1)),
                rows.position_row(3, status="closed", lots=0, closed_at=rows.at(99)),
            ],
            holdings=[rows.holding_row(1), rows.holding_row(2), rows.holding_row(2, symbol="ANOTHER", quantity=-5)],
            order_intent=[rows.intent_row(1), rows.intent_row(2, state="WORKING", filled=0, avg_price=None)],
            fills=[rows.fill_row(1, 10), rows.fill_row(1, 20)],
            event_log=[
                rows.event_row(f"signal:main:{rows.fingerprint(1)}", 1, "accepted"),
                rows.event_row(f"signal:main:{rows.fingerprint(1)}", 3, "terminal:executed"),
                rows.event_row(f"duplicates:{rows.uuid(1)}", 1, "duplicate", at=rows.at(2)),
                rows.event_row(f"signal:main:{rows.fingerprint(2)}", 1, "accepted"),
            ],
            incident=[rows.incident_row(1), rows.incident_row(2, closed_at=rows.at(50), closed_by="me", decision="x")],
            portfolio=[rows.portfolio_row(f"account-{n}") for n in range(5)],
        )
        yield pod


async def every_page(pod: Pod, path: str, limit: int) -> list[dict[str, Any]]:
    """Return all rows, page by page."""
    items: list[dict[str, Any]] = []
    cursor = ""
    while True:
        told = await pod.read(f"{path}{'&' if '?' in path else '?'}limit={limit}{cursor}")
        assert told.status == 200, told.body
        assert len(told.json["items"]) <= limit
        items += told.json["items"]
        if told.json["next"] is None:
            return items
        cursor = f"&cursor={told.json['next']}"


@pytest.mark.parametrize("path", LISTS)
async def test_every_list_needs_the_api_token(full: Pod, path: str) -> None:
    for headers in ({}, {"authorization": "Bearer wrong"}, {"authorization": API_TOKEN}):
        told = await full.ask("GET", path, headers=headers)
        assert (told.status, told.headers["content-type"]) == (401, "application/problem+json")
    assert (await full.read(path)).status == 200
    assert (await full.read(path, token=PREVIOUS_API_TOKEN)).status == 200


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize("limit", [1, 3, 100])
async def test_the_pages_of_a_list_hold_every_row_once_and_in_order(full: Pod, path: str, limit: int) -> None:
    whole = (await full.read(f"{path}?limit=500")).json["items"]
    assert len(whole) > 1
    assert await every_page(full, path, limit) == whole


async def test_a_row_that_arrives_between_two_pages_shifts_nothing(full: Pod) -> None:
    first = await full.read("/signals?limit=3&account=main")
    rows.insert(full.rt.settings.home, signal_log=[rows.signal_row(50, strategy="late")])
    second = await full.read(f"/signals?limit=3&account=main&cursor={first.json['next']}")
    rows.delete_signal(full.rt.settings.home, 50)
    ids = [item["id"] for item in first.json["items"] + second.json["items"]]
    assert ids == [str(rows.uuid(n)) for n in (8, 7, 6, 5, 4, 3)]


@pytest.mark.parametrize(
    ("path", "count"),
    [
        ("/signals?kind=EXIT", 1),
        ("/signals?kind=EXIT&status=executed", 0),
        ("/signals?status=executed&account=main&strategy=trend&source=webhook&reason=filled&layer=Long_1", 7),
        ("/signals?instrument=COPPER", 1),
        ("/signals?since=2027-01-12T15:30:06Z", 3),
        ("/signals?since=2027-01-12T21:00:06%2B05:30&until=2027-01-12T15:30:08Z", 2),
        ("/signals?account=", 0),
        ("/positions?live=true", 2),
        ("/positions?live=false", 1),
        ("/positions?layer=2&status=open&instrument=GOLD_MINI", 1),
        ("/orders?state=WORKING", 1),
        ("/orders?side=SELL", 0),
        (f"/orders?origin={rows.fingerprint(1)}", 1),
        ("/incidents?open=true", 1),
        ("/incidents?open=false&kind=orphan", 1),
        ("/portfolio?account=account-3", 1),
        ("/instruments?form=synthetic", 1),
        ("/instruments?exchange=MCX&limit=2", 2),
    ],
)
async def test_filters_keep_what_fits_all_of_them(full: Pod, path: str, count: int) -> None:
    told = await full.read(path)
    assert (told.status, len(told.json["items"])) == (200, count)


async def test_money_is_exact_text(full: Pod) -> None:
    position = (await full.read("/positions?layer=1&live=true")).json["items"][0]
    assert position["entry_price"] == "134600.5000"
    assert position["holdings"][0]["quantity"] == 20


async def test_a_signal_is_shown_with_its_whole_history(full: Pod) -> None:
    told = await full.read(f"/signals/{rows.uuid(1)}")
    assert told.status == 200
    found = told.json
    assert (found["status"], found["reason"]) == ("executed", "filled")
    assert "filled" in found["meaning"]
    assert [event["kind"] for event in found["events"]] == ["accepted", "duplicate", "terminal:executed"]
    assert [order["id"] for order in found["orders"]] == [str(rows.uuid(1))]
    assert [fill["cum_filled"] for fill in found["fills"]] == [10, 20]
    assert found["payload"]["price"] == "134600.5"


@pytest.mark.parametrize("path", ["/signals/00000000-0000-0000-0000-0000000000ff", "/nothing", "/signals/"])
async def test_what_is_not_there_is_404(full: Pod, path: str) -> None:
    told = await full.read(path)
    assert (told.status, told.headers["content-type"]) == (404, "application/problem+json")


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/signals/not-an-id", "signal_id"),
        ("/signals/%00", "signal_id"),
        ("/signals?limit=0", "limit"),
        ("/signals?limit=501", "limit"),
        ("/signals?limit=1e9", "limit"),
        ("/signals?limit=99999999999999999999999", "limit"),
        ("/signals?account=%00", "account"),
        ("/signals?account=" + "x" * 65, "account"),
        ("/signals?instrument=%ff%fe", "instrument"),
        ("/signals?kind=nonsense", "kind"),
        ("/signals?since=yesterday", "since"),
        ("/signals?since=2027-01-12T15:30:06", "since"),
        ("/positions?layer=7", "layer"),
        ("/positions?live=perhaps", "live"),
        ("/incidents?open=perhaps", "open"),
    ],
)
async def test_a_parameter_that_does_not_fit_is_400_and_named(full: Pod, path: str, field: str) -> None:
    told = await full.read(path)
    assert (told.status, told.json["field"]) == (400, field), told.body


@pytest.mark.parametrize("path", LISTS)
async def test_an_absurd_cursor_is_400(full: Pod, path: str) -> None:
    other = cursors.encode([1, "another", "list's", 4])
    chance = random.Random(7)
    noise = ["%00", "=", "!", "null", "W10", "bnVsbA", "x" * 401, "é", "%ff", other]
    noise += ["".join(chance.choices("ABCabc012_-", k=chance.randrange(1, 60))) for _ in range(20)]
    noise += [cursors.encode(key) for key in ([10**30, "x"], [True, "x"], ["0001-01-01T00:00:00+00:00", "x"], [1], [])]
    for cursor in noise:
        told = await full.read(f"{path}?cursor={cursor}")
        assert (told.status, told.json["field"]) == (400, "cursor"), (cursor, told.body)


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "POST"])
@pytest.mark.parametrize("path", ["/positions", "/signals/00000000-0000-0000-0000-000000000001", "/"])
async def test_reading_routes_take_nothing_but_get(full: Pod, method: str, path: str) -> None:
    told = await full.ask(method, path)
    assert (told.status, told.headers["allow"]) == (405, "GET")


async def test_signals_say_that_they_can_be_read_and_handed_in(full: Pod) -> None:
    assert (await full.ask("DELETE", "/signals")).headers["allow"] == "GET, POST"
