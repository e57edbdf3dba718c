"""Whole installations of real processes for tests: services, leaders and a simulated broker, started, hurt and audited.

    async with Plant(folder, database_url=url) as plant:
        service = await plant.start_service(failpoints="K8:kill")
        receipt = await plant.client.deliver("BASE_ENTRY", "GOLD_MINI")
        await service.gone(within=5)

Nothing is left running: a watchdog ends what outlives its owner.
"""

from tests.harness.audit import at_rest, clean, violations
from tests.harness.client import Client, Delivery, Unsent
from tests.harness.plant import Plant
from tests.harness.process import Process, ProcessFailed

__all__ = ["Client", "Delivery", "Plant", "Process", "ProcessFailed", "Unsent", "at_rest", "clean", "violations"]
