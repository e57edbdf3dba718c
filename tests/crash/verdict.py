"""What must be true when a case is over."""

from __future__ import annotations

from typing import Any

from tests.crash.cases import Case
from tests.crash.stage import Stand
from tests.harness import at_rest, clean


async def judge(case: Case, stand: Stand, row: dict[str, Any]) -> None:
    """Check the signal's end, the layers, and every invariant. Raises AssertionError."""
    await at_rest(stand.rt)
    open_layers = await stand.layers()
    if case.may_be_unsent and row["status"] != "executed":
        first_leg = case.nth == 1  # the call of a put that was not placed is sold again
        assert (row["status"], row["reason"]) == ("failed", "not_placed" if first_leg else "unwound"), row
        assert len(open_layers) == case.flow.left - 1, open_layers
    else:
        assert row["status"] == "executed", row
        assert len(open_layers) == case.flow.left, open_layers
    for layer in open_layers:
        units = {holding.symbol[-2:]: holding.quantity for holding in layer.holdings}
        assert units.get("CE", 0) == -units.get("PE", 0), f"a leg without its match: {layer}"
    await clean(stand.rt)
