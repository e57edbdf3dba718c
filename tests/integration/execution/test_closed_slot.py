"""An exit that meets an open incident on its contract is left to a person, who has an incident to decide it by."""

from decimal import Decimal

from ratchet.domain.identity import IntentId
from ratchet.domain.orders import IntentState
from ratchet.domain.signals import SignalStatus
from ratchet.execution import gatekeeper
from ratchet.execution.decide import Decision, decide
from ratchet.execution.gatekeeper import Ended
from ratchet.persistence import claims, control, incidents, intents, layers
from ratchet.runtime import Runtime
from tests.contract.persistence.rows import STAMP, add_intent, add_signal
from tests.integration.execution.seeds import GOLD, add_layer, incidents_of


async def test_the_order_is_decided_by_its_own_incident(rt: Runtime) -> None:
    async with rt.db.transaction() as tx:
        layer = await add_layer(tx, 100)
        await layers.take_for_exit(tx, layer, by="x", reason="test")
        await add_signal(tx, SignalStatus.ACCEPTED, fingerprint="x", lease_until=STAMP.replace(year=2020))
        values = {"purpose": "exit", "side": "SELL", "symbol": GOLD, "targets": [str(layer.id)]}
        sale = IntentId(await add_intent(tx, IntentState.PENDING, origin="x", **values))
        await incidents.open_incident(
            tx, account="main", kind="orphan", summary="found", actor="test", symbol=GOLD, side="SELL"
        )
        await control.mark_audited(tx, actor="test")
        intent = await intents.get(tx, sale)
    (claim,) = await claims.take(rt.db, owner="test", lease_seconds=60, most=1)
    answer = await gatekeeper.permit(rt, claim, intent, baseline=[], price=Decimal(134000), opening=False)
    assert isinstance(answer, Ended)
    (told,) = await incidents_of(rt, "slot_closed")
    assert told["intent_id"] == sale
    decided = await decide(rt, told["id"], Decision(text="never sent", by="a person", order=IntentState.NOT_PLACED))
    assert decided.order is IntentState.NOT_PLACED
    async with rt.db.transaction() as tx:
        assert (await intents.get(tx, sale)).state is IntentState.NOT_PLACED
        assert (await layers.get(tx, layer.id)).held(GOLD) == 100
