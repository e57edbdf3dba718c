"""The prices of a limit order that is walked towards the market, rung by rung."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from ratchet.domain.checks import Quote
from ratchet.domain.instruments import LadderRules
from ratchet.domain.numbers import tick_down, tick_up
from ratchet.domain.orders import Side

HUNDRED = Decimal(100)
LAST_TRY = Decimal("0.1")
"""Percent that the last price of a part-filled entry's rest lies above the one before."""
LAST_TRY_SECONDS = 5.0
"""How long that price stands before the rest is cancelled. Source: docs/domain.md, section 8.3."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rung:
    """One price to try, on the tick. done: no rung of the ladder follows. marketable: it goes through the market."""

    price: Decimal
    done: bool
    marketable: bool


def entry_rung(
    *,
    i: int,
    mid: Decimal,
    side: Side,
    tick: Decimal,
    rules: LadderRules,
    signal_price: Decimal,
    is_option: bool,
) -> Rung | None:
    """Return rung `i` (from 0) of an entry, or None where the ladder ends and the entry gives up.

    A future's price may lie up to `rules.stop` percent from the signal's, against us, tested before it is rounded;
    an option's premium has no such reference, it ends with its rungs or with `rules.option_most` in all.
    Source: docs/domain.md, section 8.2.
    """
    last = _last(rules, is_option)
    if i > last:
        return None
    price = _walked(i, mid, side, rules, is_option)
    if _beyond(price, side, rules, signal_price, is_option):
        return None
    return Rung(price=_on_tick(price, side, tick), done=i == last, marketable=False)


def exit_rung(*, i: int, quote: Quote, side: Side, tick: Decimal, rules: LadderRules, is_option: bool) -> Rung:
    """Return rung `i` (from 0) of an exit or unwind, which never gives up.

    After the ladder's last rung each further one is a limit `rules.band` percent through the market of the moment:
    below the bid for a sell, above the ask for a buy, or by the last price if that side is empty.
    Source: docs/domain.md, section 8.2, D-22 and D-24.
    """
    last = _last(rules, is_option)
    if i <= last:
        price = _walked(i, quote.mid, side, rules, is_option)
        return Rung(price=_on_tick(price, side, tick), done=i == last, marketable=False)
    touch = (quote.ask if side is Side.BUY else quote.bid) or quote.ltp
    through = touch * (HUNDRED + side.sign * rules.band) / HUNDRED
    return Rung(price=_on_tick(through, side, tick), done=True, marketable=True)


def unquoted_limit(*, last: Decimal, side: Side, tick: Decimal, rules: LadderRules) -> Decimal:
    """Return the limit of an exit or unwind for which there is no quote: `rules.stop` percent through the last price.

    last: the last price known of the contract. It protects against a market that has gone far while nobody looked.
    Source: docs/domain.md, section 8.1, D-23.
    """
    return _on_tick(last * (HUNDRED + side.sign * rules.stop) / HUNDRED, side, tick)


def last_try(
    *, price: Decimal, side: Side, tick: Decimal, rules: LadderRules, signal_price: Decimal, is_option: bool
) -> Decimal | None:
    """Return the price at which the rest of a part-filled entry is tried once more, on the tick.

    price: the order's present one. None where the ladder's stop allows no worse price.
    """
    worse = price * (HUNDRED + side.sign * LAST_TRY) / HUNDRED
    return None if _beyond(worse, side, rules, signal_price, is_option) else _on_tick(worse, side, tick)


def _beyond(price: Decimal, side: Side, rules: LadderRules, signal_price: Decimal, is_option: bool) -> bool:
    """Whether an entry's price lies further from the signal's, against us, than the ladder's stop."""
    return not is_option and (price - signal_price) * side.sign * HUNDRED > rules.stop * signal_price


def _last(rules: LadderRules, is_option: bool) -> int:
    # A future has so many attempts. An option has so many modifications after the first price, as far as they
    # stay within the most that may be added.
    if not is_option:
        return rules.rungs - 1
    return min(rules.option_rungs, int(rules.option_most // rules.option_step))


def _walked(i: int, mid: Decimal, side: Side, rules: LadderRules, is_option: bool) -> Decimal:
    if is_option:
        return mid + side.sign * i * rules.option_step
    return mid * (HUNDRED + side.sign * i * rules.step) / HUNDRED


def _on_tick(price: Decimal, side: Side, tick: Decimal) -> Decimal:
    return max(tick, tick_up(price, tick)) if side is Side.BUY else tick_down(price, tick)
