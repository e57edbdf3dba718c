"""ping, analyzer, quotes, symbol, expiry, optionsymbol."""

from datetime import date, datetime
from decimal import Decimal

from ratchet.brokers.simulator import answers
from ratchet.brokers.simulator.answers import Answer
from ratchet.brokers.simulator.contracts import (
    BY_NAME,
    Instrument,
    Kind,
    Underlying,
    expiries,
    expiry_text,
    expiry_word,
)
from ratchet.brokers.simulator.orders import ZERO
from ratchet.brokers.simulator.routes.pipeline import Call
from ratchet.brokers.simulator.settings import Mode

_EXPIRY_FORMAT = "%d%b%y"


def ping(call: Call) -> Answer:
    """Say that the server is there; the broker is not asked."""
    return answers.success(data={"message": "pong", "broker": call.simulator.settings.broker_name})


def analyzer(call: Call) -> Answer:
    """Tell whether orders stay in the sandbox."""
    analyzing = call.simulator.mode is Mode.ANALYZE
    return answers.success(
        data={"mode": call.simulator.mode.value, "analyze_mode": analyzing, "total_logs": 0},
    )


def quotes(call: Call) -> Answer:
    """Return an instrument's prices."""
    instrument = _asked(call)
    if instrument is None:
        return answers.error(400, f"Symbol {call.text('symbol')} not found on {call.text('exchange')}")
    quote = call.simulator.quote(instrument)
    return answers.success(
        data={
            "ask": quote.ask,
            "bid": quote.bid,
            "high": quote.ltp,
            "low": quote.ltp,
            "ltp": quote.ltp,
            "open": quote.ltp,
            "prev_close": quote.ltp,
            "volume": 1000,
            "oi": 1000,
        }
    )


def symbol(call: Call) -> Answer:
    """Return a contract's terms."""
    instrument = _asked(call)
    if instrument is None:
        return answers.error(404, f"Symbol {call.text('symbol')} not found in exchange {call.text('exchange')}")
    listed = instrument.underlying
    return answers.success(
        data={
            "id": instrument.token,
            "symbol": instrument.symbol,
            "brsymbol": instrument.symbol,
            "name": listed.base,
            "exchange": instrument.exchange,
            "brexchange": instrument.exchange,
            "token": str(instrument.token),
            "expiry": "" if instrument.expiry is None else expiry_text(instrument.expiry),
            "strike": ZERO if instrument.strike is None else instrument.strike,
            "lotsize": listed.lot,
            "instrumenttype": instrument.kind.value,
            "tick_size": listed.tick,
            "freeze_qty": listed.freeze,
        }
    )


def expiry(call: Call) -> Answer:
    """Return the listed expiries of an underlying, none of them a success too."""
    listed = BY_NAME.get(call.text("symbol").upper())
    options = call.text("instrumenttype") == "options"
    if listed is None or listed.exchange != call.text("exchange") or (options and listed.strike_step is None):
        return answers.success(message="No expiry dates found", data=[])
    found = [expiry_text(day) for day in expiries(listed, call.simulator.master.today)]
    return answers.success(message=f"Found {len(found)} expiry dates for {listed.base}", data=found)


def option_symbol(call: Call) -> Answer:
    """Return the option at an offset from the strike nearest to the underlying's price."""
    named = call.text("underlying").upper()
    future = call.simulator.master.find("NFO", named)
    listed = future.underlying if future is not None else BY_NAME.get(named)
    day = _expiry_asked(call, future)
    if listed is None or listed.strike_step is None or day is None:
        return answers.error(404, f"No strikes found for {named} expiring {call.values.get('expiry_date')}")
    underlying = future or call.simulator.master.find(listed.index_exchange or listed.exchange, listed.base)
    if underlying is None:
        return answers.error(404, f"No underlying found for {named}")
    ltp = call.simulator.quote(underlying).ltp
    strike = _strike_at(call, listed, ltp)
    option_name = f"{listed.base}{expiry_word(day)}{strike}{call.text('option_type')}"
    option = call.simulator.master.find(listed.exchange, option_name)
    if option is None:
        known = call.simulator.master.future(listed, day) is not None
        return answers.error(400 if known else 404, f"No strike found for {call.text('offset')} of {named}")
    return answers.success(
        symbol=option.symbol,
        exchange=option.exchange,
        lotsize=listed.lot,
        tick_size=listed.tick,
        freeze_qty=listed.freeze,
        underlying_ltp=ltp,
    )


def _asked(call: Call) -> Instrument | None:
    return call.simulator.master.find(call.text("exchange"), call.text("symbol"))


def _expiry_asked(call: Call, future: Instrument | None) -> date | None:
    word = call.values.get("expiry_date")
    if not isinstance(word, str):
        return future.expiry if future is not None and future.kind is Kind.FUTURE else None
    try:
        return datetime.strptime(word, _EXPIRY_FORMAT).date()  # noqa: DTZ007 a date has no zone
    except ValueError:
        return None


def _strike_at(call: Call, listed: Underlying, ltp: Decimal) -> Decimal:
    step = listed.strike_step or Decimal(1)
    nearest = (ltp / step).to_integral_value() * step
    offset = call.text("offset")
    if offset == "ATM":
        return nearest
    out_of_the_money = 1 if offset.startswith("OTM") else -1
    direction = out_of_the_money if call.text("option_type") == Kind.CALL.value else -out_of_the_money
    return nearest + direction * int(offset[3:]) * step
