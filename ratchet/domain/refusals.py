"""Why a signal ended as it did: one closed list of machine reasons, each with its end and its meaning."""

from __future__ import annotations

from enum import Enum

from ratchet.domain.signals import SignalStatus as S


class Reason(Enum):
    """A machine reason. Each carries the status it ends a signal with, and a sentence for people.

    Source: docs/protocol.md, section 3, "Which end".
    """

    FILLED = ("filled", S.EXECUTED, "every order of the plan was filled")
    CLOSED = ("closed", S.EXECUTED, "what was to be closed is closed")
    NO_OPEN_POSITION = ("no_open_position", S.EXECUTED, "there was nothing to close")
    BAR_APPLIED = ("bar_applied", S.EXECUTED, "the bar moved the stops")
    STALE_BAR = ("stale_bar", S.EXECUTED, "a newer bar was already applied; nothing changed")
    VIEW_REFRESHED = ("view_refreshed", S.EXECUTED, "the latest view of the instrument was stored")
    PART_FILLED = ("part_filled", S.PARTIALLY_EXECUTED, "part was filled, the rest cancelled")
    NO_BASE_POSITION = ("no_base_position", S.BLOCKED, "a pyramid needs an open base layer")
    LAYER_OUT_OF_ORDER = ("layer_out_of_order", S.BLOCKED, "layers are opened in their order")
    MAX_PYRAMIDS = ("max_pyramids", S.BLOCKED, "the instrument allows no further pyramid")
    ONE_R = ("one_r", S.BLOCKED, "the trade has not yet earned its initial risk")
    SPACING = ("spacing", S.BLOCKED, "the price is too near to the last layer")
    PROFIT = ("profit", S.BLOCKED, "the open layers are not in profit")
    PORTFOLIO_RISK = ("portfolio_risk", S.BLOCKED, "the portfolio's risk limit would be passed")
    PORTFOLIO_VOL = ("portfolio_vol", S.BLOCKED, "the portfolio's volatility limit would be passed")
    MARGIN = ("margin", S.BLOCKED, "the margin limit would be passed")
    ZERO_LOTS = ("zero_lots", S.BLOCKED, "the sizing rules allow no whole lot")
    INVALID_RISK = ("invalid_risk", S.BLOCKED, "the stop does not lie below the price")
    DRAWDOWN = ("drawdown", S.BLOCKED, "the drawdown ladder allows no new trade")
    KILL_SWITCH = ("kill_switch", S.BLOCKED, "sending is switched off")
    EXPOSED = ("exposed", S.BLOCKED, "the instrument has an unmatched leg that a person must look at")
    ALREADY_IN_POSITION = ("already_in_position", S.REJECTED, "a layer of the instrument is open or closing")
    SUPERSEDED_BY_EXIT = ("superseded_by_exit", S.REJECTED, "an exit with a later stamp was accepted")
    FUTURE = ("future", S.REJECTED, "the stamp lies in the future")
    DIVERGENCE = ("divergence", S.REJECTED, "the market is too far from the signal's price")
    RISK_INCREASE = ("risk_increase", S.REJECTED, "at the market's price the risk would grow too much")
    BELOW_STOP = ("below_stop", S.REJECTED, "the market is at or below the stop")
    PRICE_SANITY = ("price_sanity", S.REJECTED, "the quote is too far from the last price seen")
    MARKET_CLOSED = ("market_closed", S.REJECTED, "the exchange is closed")
    EOD_DONE = ("eod_done", S.REJECTED, "the end-of-day action of this kind was already taken")
    STALE = ("stale", S.EXPIRED, "the signal is older than an entry may be")
    FORGOTTEN = ("forgotten", S.EXPIRED, "the stamp is older than the rows that could prove it new")
    NO_QUOTE = ("no_quote", S.EXPIRED, "the broker gave no price in time")
    NOT_PLACED = ("not_placed", S.FAILED, "the order never reached the broker; it is not sent again")
    BROKER_REFUSED = ("broker_refused", S.FAILED, "the broker refused the order")
    BROKER_REJECTED = ("broker_rejected", S.FAILED, "the broker rejected the order after taking it")
    UNFILLED = ("unfilled", S.FAILED, "nothing was filled within the price limits")
    UNWOUND = ("unwound", S.FAILED, "the second leg failed and the first was undone")
    POISONED = ("poisoned", S.FAILED, "processing failed too often; the error is stored")

    def __init__(self, code: str, status: S, meaning: str) -> None:
        self.code = code
        self.status = status
        self.meaning = meaning


BY_CODE = {reason.code: reason for reason in Reason}
