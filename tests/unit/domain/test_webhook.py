"""V02 to V22, rule by rule: what passes, what fails, and which field is named."""

from datetime import UTC, datetime
from decimal import Decimal as D
from typing import Any

import pytest

from ratchet.domain.signals import Signal, SignalKind
from ratchet.domain.webhook import CONDITIONS, INDICATORS, InvalidSignal, parse
from tests.unit.domain.messages import BAR, BASE, EVERY_KIND, EXIT, PYRAMID, SCOUT, WITHOUT, changed, with_nested


def fault(body: bytes) -> tuple[str, str]:
    """Return the field and the rule that an invalid body is refused for."""
    with pytest.raises(InvalidSignal) as caught:
        parse(body)
    assert caught.value.message
    return caught.value.field, caught.value.rule


def read(body: bytes) -> Signal:
    """Return the signal of a valid body."""
    return parse(body).signal


@pytest.mark.parametrize("message", EVERY_KIND, ids=lambda m: m["type"])
def test_each_kind_of_message_is_read(message: dict[str, Any]) -> None:
    signal = read(changed(message))
    assert signal.kind == message["type"]
    assert signal.position == message.get("position")
    assert signal.price == D(str(message["price"]))


def test_every_field_of_an_exit_arrives() -> None:
    assert read(changed(EXIT)) == Signal(
        kind=SignalKind.EXIT,
        instrument="GOLD_MINI",
        position="Long_1",
        timestamp=datetime(2027, 1, 12, 15, 30, 1, tzinfo=UTC),
        price=D(134379),
        atr=D(760),
        stop=D(134380),
        er=D("0.4"),
        supertrend=D(134900),
        lots=3,
        roc=D("-0.3"),
        reason="TOM_BASSO_STOP",
        entry_price=D(134600),
        payload={**EXIT, "er": "0.4", "roc": "-0.3"},
    )


def test_a_scout_carries_its_conditions_and_indicators_and_no_position() -> None:
    signal = read(changed(SCOUT, position="Long_1"))
    assert signal.position is None
    assert signal.conditions == SCOUT["conditions"]
    assert signal.indicators == {name: D(str(value)) for name, value in SCOUT["indicators"].items()}
    assert (signal.atr, signal.er, signal.supertrend) == (D("795.25"), D("0.8312"), D(134210))


@pytest.mark.parametrize("kind", ["base_entry", "Base_Entry", "BASE_ENTRY"])
def test_v02_the_type_may_be_in_any_case(kind: str) -> None:
    assert read(changed(BASE, type=kind)).kind is SignalKind.BASE_ENTRY


@pytest.mark.parametrize("kind", [" BASE_ENTRY", "EXIT\n", "", "BUY", 1, True, [], {}, ["EXIT"], "EX\u0131T"])
def test_v02_any_other_type_fails(kind: Any) -> None:
    assert fault(changed(BASE, type=kind)) == ("type", "V02")


def test_the_old_spelling_of_type_and_position_is_not_read() -> None:
    old = changed(BASE, type=WITHOUT, position=WITHOUT, signal_type="BASE_ENTRY", position_id="Long_1")
    assert fault(old)[0] == "type"


@pytest.mark.parametrize("name", ["gold_mini", "Gold_Mini"])
def test_v03_the_instrument_may_be_in_any_case(name: str) -> None:
    assert read(changed(EXIT, instrument=name)).instrument == "GOLD_MINI"


@pytest.mark.parametrize("name", ["GOLD", "GOLD_MINI ", "", 7, False, {}, "S\u0131LVER_MINI"])
def test_v03_any_other_instrument_fails(name: Any) -> None:
    assert fault(changed(EXIT, instrument=name)) == ("instrument", "V03")


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2027-01-19T19:00:00", datetime(2027, 1, 19, 13, 30, tzinfo=UTC)),
        ("2027-01-19T13:30:00Z", datetime(2027, 1, 19, 13, 30, tzinfo=UTC)),
        ("2027-01-19T19:00:00+05:30", datetime(2027, 1, 19, 13, 30, tzinfo=UTC)),
        ("2027-01-19T08:30:00-05:00", datetime(2027, 1, 19, 13, 30, tzinfo=UTC)),
        ("2027-01-19T19:00:00.5", datetime(2027, 1, 19, 13, 30, 0, 500_000, tzinfo=UTC)),
        ("2027-01-19T13:30:00.1234567899Z", datetime(2027, 1, 19, 13, 30, 0, 123_456, tzinfo=UTC)),
        ("2028-02-29T00:00:00Z", datetime(2028, 2, 29, tzinfo=UTC)),
        ("2000-01-01T00:00:00Z", datetime(2000, 1, 1, tzinfo=UTC)),
        ("2000-01-01T05:30:00", datetime(2000, 1, 1, tzinfo=UTC)),
        ("2099-12-31T23:59:59.999999Z", datetime(2099, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)),
        ("2100-01-01T05:29:59", datetime(2099, 12, 31, 23, 59, 59, tzinfo=UTC)),
    ],
)
def test_v04_a_stamp_becomes_an_instant_in_utc_and_is_indian_time_without_an_offset(
    text: str, instant: datetime
) -> None:
    stamp = read(changed(BASE, timestamp=text)).timestamp
    assert stamp == instant
    assert stamp.tzinfo is UTC


@pytest.mark.parametrize(
    "text",
    [
        "2027-01-19 19:00:00",
        "2027-01-19t19:00:00",
        "2027-01-19T19:00",
        "2027-01-19T19:00:00z",
        "2027-01-19T19:00:00+0530",
        "2027-01-19T19:00:00+05",
        "2027-01-19T19:00:00+24:00",
        "2027-01-19T19:00:00+05:60",
        "2027-01-19T19:00:00.",
        "2027-01-19T19:00:00,5",
        "2027-01-19T19:00:00\n",
        " 2027-01-19T19:00:00",
        "2027-1-19T19:00:00",
        "20270119T190000",
        "2027-01-19",
        "19:00:00",
        "2027-02-29T19:00:00",
        "2027-13-01T19:00:00",
        "2027-01-19T24:00:00",
        "2027-01-19T19:60:00",
        "2027-01-19T19:00:60",
        "0000-01-01T00:00:00",
        "0001-01-01T00:00:00+05:30",
        "9999-12-31T23:59:59-05:30",
        "1999-12-31T23:59:59Z",
        "2000-01-01T05:29:59",
        "2100-01-01T00:00:00Z",
        "\u0662027-01-19T19:00:00",
        "yesterday",
        "",
        1_800_000_000,
        1_800_000_000.5,
        "1800000000",
        True,
        [],
    ],
)
def test_v04_anything_else_is_no_stamp(text: Any) -> None:
    assert fault(changed(BASE, timestamp=text)) == ("timestamp", "V04")


@pytest.mark.parametrize("message", [BASE, PYRAMID, EXIT], ids=lambda m: m["type"])
@pytest.mark.parametrize("position", ["long_1", "Long_0", "Long_7", "Long_01", "all", " Long_1", "", 1, True, []])
def test_v05_a_position_is_an_exact_member(message: dict[str, Any], position: Any) -> None:
    assert fault(changed(message, position=position)) == ("position", "V05")


@pytest.mark.parametrize(
    ("message", "position"), [(BASE, "Long_2"), (BASE, "ALL"), (PYRAMID, "Long_1"), (PYRAMID, "ALL")]
)
def test_v06_a_position_fits_its_type(message: dict[str, Any], position: str) -> None:
    assert fault(changed(message, position=position)) == ("position", "V06")


@pytest.mark.parametrize("position", ["Long_1", "Long_2", "Long_6", "ALL"])
def test_v06_an_exit_may_name_any_layer_or_all(position: str) -> None:
    assert read(changed(EXIT, position=position)).position == position


def test_a_layer_beyond_the_instruments_pyramids_is_a_valid_message() -> None:
    assert read(changed(PYRAMID, instrument="COPPER", position="Long_6")).layer_number == 6


REQUIRED = {
    "BASE_ENTRY": {"type", "instrument", "position", "timestamp", "price", "stop", "lots", "atr", "er", "supertrend"},
    "EOD_MONITOR": {"type", "instrument", "timestamp", "price", "conditions", "indicators"},
    "MARKET_DATA": {"type", "instrument", "timestamp", "price", "atr", "supertrend"},
}
REQUIRED["PYRAMID"] = REQUIRED["BASE_ENTRY"]
REQUIRED["EXIT"] = REQUIRED["BASE_ENTRY"] | {"reason"}


@pytest.mark.parametrize("message", EVERY_KIND, ids=lambda m: m["type"])
@pytest.mark.parametrize("absent", [WITHOUT, None], ids=["missing", "null"])
def test_v07_every_required_field_is_there_and_not_null(message: dict[str, Any], absent: Any) -> None:
    for name in REQUIRED[message["type"]]:
        assert fault(changed(message, **{name: absent})) == (name, "V07")


@pytest.mark.parametrize("message", EVERY_KIND, ids=lambda m: m["type"])
def test_v07_no_other_field_is_required(message: dict[str, Any]) -> None:
    others = dict.fromkeys(set(message) - REQUIRED[message["type"]], WITHOUT)
    assert read(changed(message, **others)).roc is None


NOT_NUMBERS = [
    True,
    False,
    "",
    " 1",
    "1 ",
    "1,000",
    "+1",
    ".5",
    "5.",
    "1e3",
    "0x1",
    "NaN",
    "inf",
    "1_0",
    "\u0661",
    [],
    {},
    [1],
    1_000_000_000,
    "1000000000",
    -1_000_000_000,
]


@pytest.mark.parametrize("name", ["price", "stop", "lots", "atr", "er", "supertrend"])
@pytest.mark.parametrize("value", NOT_NUMBERS, ids=repr)
def test_v08_a_numeric_field_is_a_number_or_a_plain_decimal_string(name: str, value: Any) -> None:
    assert fault(changed(EXIT, **{name: value})) == (name, "V08")


@pytest.mark.parametrize(
    "text", [b"1e400", b"1e999999999", b"1e99999999999999999999", b"1e-99999", b"1e-99999999999999999999"]
)
def test_v08_a_number_too_large_or_too_fine_to_compute_with_fails(text: bytes) -> None:
    assert fault(changed(BAR).replace(b"917.85", text)) == ("price", "V08")


def test_v08_plain_decimal_strings_and_exponents_are_read_exactly() -> None:
    signal = read(changed(EXIT, price="134379.05", stop="0", er="-0.10").replace(b'"atr": 760', b'"atr": 7.6E2'))
    assert (signal.price, signal.stop, signal.er, signal.atr) == (D("134379.05"), D(0), D("-0.10"), D(760))


def test_v08_the_largest_magnitude_lies_just_below_a_thousand_million() -> None:
    assert read(changed(EXIT, price="999999999.9999")).price == D("999999999.9999")


def test_zero_is_never_negative() -> None:
    stop = read(changed(EXIT, stop="-0.0")).stop
    assert stop == 0
    assert stop is not None
    assert not stop.is_signed()


@pytest.mark.parametrize("message", [BASE, PYRAMID, EXIT, SCOUT], ids=lambda m: m["type"])
@pytest.mark.parametrize("price", [0, -1, "-0.01"])
def test_v09_the_price_is_above_zero(message: dict[str, Any], price: Any) -> None:
    assert fault(changed(message, price=price)) == ("price", "V09")


@pytest.mark.parametrize("message", [BASE, PYRAMID], ids=lambda m: m["type"])
def test_v10_an_entrys_stop_lies_above_zero_and_below_the_price(message: dict[str, Any]) -> None:
    for stop in (0, -1, message["price"], message["price"] + 1):
        assert fault(changed(message, stop=stop)) == ("stop", "V10")
    assert read(changed(message, stop="0.01")).stop == D("0.01")


def test_v10_an_exits_stop_may_be_zero_or_above_the_price_but_not_negative() -> None:
    assert read(changed(EXIT, stop=0)).stop == 0
    assert read(changed(EXIT, stop=134380)).stop == 134380
    assert fault(changed(EXIT, stop=-1)) == ("stop", "V10")


@pytest.mark.parametrize("lots", [5, 5.0, "5", "5.00"])
def test_v11_lots_are_whole_however_they_are_written(lots: Any) -> None:
    found = read(changed(BASE, lots=lots)).lots
    assert found == 5
    assert type(found) is int


@pytest.mark.parametrize("lots", [2.7, "2.5", -1, "0.0001"])
@pytest.mark.parametrize("message", [BASE, EXIT], ids=lambda m: m["type"])
def test_v11_lots_are_neither_broken_nor_negative(message: dict[str, Any], lots: Any) -> None:
    assert fault(changed(message, lots=lots)) == ("lots", "V11")


@pytest.mark.parametrize(("name", "rule"), [("atr", "V12"), ("supertrend", "V14")])
def test_v12_and_v14_are_above_zero_but_may_be_zero_on_an_exit(name: str, rule: str) -> None:
    for message in (BASE, PYRAMID):
        assert fault(changed(message, **{name: 0})) == (name, rule)
    assert getattr(read(changed(EXIT, **{name: 0})), name) == 0
    assert fault(changed(EXIT, **{name: "-0.01"})) == (name, rule)


@pytest.mark.parametrize("er", ["-0.01", "1.01", 2])
def test_v13_an_entrys_er_lies_from_0_to_1_and_an_exits_may_be_anything(er: Any) -> None:
    assert fault(changed(BASE, er=er)) == ("er", "V13")
    assert fault(changed(PYRAMID, er=er)) == ("er", "V13")
    assert read(changed(EXIT, er=er)).er == D(str(er))


@pytest.mark.parametrize("er", [0, 1, 1.0])
def test_v13_both_ends_are_allowed(er: Any) -> None:
    assert read(changed(BASE, er=er)).er == D(str(er))


@pytest.mark.parametrize("value", NOT_NUMBERS, ids=repr)
def test_v15_roc_and_entry_price_are_numbers_or_null(value: Any) -> None:
    for message in (BASE, PYRAMID, EXIT):
        assert fault(changed(message, roc=value)) == ("roc", "V15")
    assert fault(changed(EXIT, entry_price=value)) == ("entry_price", "V15")


def test_v15_null_is_as_good_as_missing() -> None:
    signal = read(changed(EXIT, roc=None, entry_price=None))
    assert (signal.roc, signal.entry_price) == (None, None)


@pytest.mark.parametrize("reason", ["", " ", "\t\n", "x" * 201, 5, True, [], {}])
def test_v16_an_exit_says_why(reason: Any) -> None:
    assert fault(changed(EXIT, reason=reason)) == ("reason", "V16")


def test_v16_a_reason_has_at_most_200_characters_and_entries_need_none() -> None:
    assert read(changed(EXIT, reason="ä" * 200)).reason == "ä" * 200
    assert read(changed(BASE, reason=5)).reason is None


@pytest.mark.parametrize("name", CONDITIONS)
@pytest.mark.parametrize("value", [WITHOUT, None, "false", "true", 0, 1, []], ids=repr)
def test_v17_each_condition_is_a_real_boolean(name: str, value: Any) -> None:
    assert fault(with_nested(SCOUT, "conditions", **{name: value})) == (f"conditions.{name}", "V17")


@pytest.mark.parametrize("value", [[], "x", 1, True])
def test_v17_v18_an_object_that_is_none_is_named_itself(value: Any) -> None:
    assert fault(changed(SCOUT, conditions=value)) == ("conditions", "V17")
    assert fault(changed(SCOUT, indicators=value)) == ("indicators", "V18")


@pytest.mark.parametrize("name", INDICATORS)
@pytest.mark.parametrize("value", [WITHOUT, None, *NOT_NUMBERS], ids=repr)
def test_v18_each_indicator_is_a_number(name: str, value: Any) -> None:
    assert fault(with_nested(SCOUT, "indicators", **{name: value})) == (f"indicators.{name}", "V18")


@pytest.mark.parametrize(
    ("name", "bad", "good"),
    [
        ("atr", [0, -1], ["0.01"]),
        ("supertrend", [0, -1], ["0.01"]),
        ("er", ["-0.01", "1.01"], [0, 1]),
        ("rsi", ["-0.01", "100.01"], [0, 100]),
        ("roc", ["x", True], [None, -5, WITHOUT]),
    ],
)
def test_v18_indicators_keep_their_ranges(name: str, bad: list[Any], good: list[Any]) -> None:
    for value in bad:
        assert fault(with_nested(SCOUT, "indicators", **{name: value})) == (f"indicators.{name}", "V18")
    for value in good:
        assert read(with_nested(SCOUT, "indicators", **{name: value})).kind is SignalKind.EOD_MONITOR


def test_v19_position_status_is_checked_if_it_is_there() -> None:
    name = "position_status"
    for no_object in (["x"], "x", 1, False):
        assert fault(changed(SCOUT, position_status=no_object)) == (name, "V19")
    for bad in ({}, {"in_position": None}, {"in_position": "true"}, {"in_position": 1}):
        assert fault(changed(SCOUT, position_status=bad)) == (f"{name}.in_position", "V19")
    for count in (-1, 6, 2.5, True, "two"):
        status = {"in_position": True, "pyramid_count": count}
        assert fault(changed(SCOUT, position_status=status)) == (f"{name}.pyramid_count", "V19")
    for good in (None, {"in_position": False}, {"in_position": True, "pyramid_count": 5, "entry_price": "?"}):
        assert read(changed(SCOUT, position_status=good)).kind is SignalKind.EOD_MONITOR


def test_v20_sizing_is_an_object_if_it_is_there() -> None:
    for no_object in (["x"], "x", 0, False):
        assert fault(changed(SCOUT, sizing=no_object)) == ("sizing", "V20")
    for sizing in (None, {}, {"lots": "many"}):
        assert read(changed(SCOUT, sizing=sizing)).kind is SignalKind.EOD_MONITOR


@pytest.mark.parametrize("name", ["price", "atr", "supertrend"])
@pytest.mark.parametrize("value", [0, -1, "-0.01"])
def test_v21_the_numbers_of_a_bar_are_above_zero(name: str, value: Any) -> None:
    assert fault(changed(BAR, **{name: value})) == (name, "V21")


@pytest.mark.parametrize("message", EVERY_KIND, ids=lambda m: m["type"])
def test_v22_unknown_fields_are_allowed(message: dict[str, Any]) -> None:
    assert read(changed(message, status={"nested": [1]}, passphrase="")).payload["status"] == {"nested": [1]}


def test_the_first_rule_in_their_order_names_the_field() -> None:
    broken: list[tuple[str, Any, str]] = [
        ("type", "?", "V02"),
        ("instrument", "?", "V03"),
        ("timestamp", "?", "V04"),
        ("position", "?", "V05"),
        ("supertrend", None, "V07"),
        ("er", "?", "V08"),
        ("price", 0, "V09"),
        ("stop", -1, "V10"),
        ("lots", "0.5", "V11"),
        ("atr", -1, "V12"),
        ("roc", "?", "V15"),
        ("reason", " ", "V16"),
    ]
    for first in range(len(broken)):
        later = {name: value for name, value, _ in broken[first:]}
        assert fault(changed(EXIT, **later)) == (broken[first][0], broken[first][2])
