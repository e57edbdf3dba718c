"""A simulated OpenAlgo server: same REST API, own durable book, faults on demand.

What belongs here: everything that plays the broker's side. What does not: anything of the client's side, and any
knowledge of signals, intents or positions as the executor keeps them. The server learns only what a request says.
"""

from ratchet.brokers.simulator.server import SimulatorServer, create_app
from ratchet.brokers.simulator.settings import Mode, SessionRule, SimulatorSettings

__all__ = ["Mode", "SessionRule", "SimulatorServer", "SimulatorSettings", "create_app"]
