"""The table of commands of `kubectl ratchet`."""

from __future__ import annotations

from ratchet.cli.commands import Command

COMMANDS = (
    Command(name="status", module="ratchet.kubectl.status", help="show pods, leader, queue, incidents and broker"),
    Command(
        name="leader",
        module="ratchet.kubectl.leading",
        help="show who leads, who stands by, and the latest changes",
        add="add_leader",
        run="leader",
        examples="LEADER_EXAMPLES",
    ),
    Command(
        name="failover",
        module="ratchet.kubectl.leading",
        help="ask the leader to hand over, and wait for the next one",
        add="add_failover",
        run="failover",
        examples="FAILOVER_EXAMPLES",
    ),
    Command(
        name="freeze",
        module="ratchet.kubectl.switching",
        help="stop sending orders (the kill switch)",
        add="add_freeze",
        run="freeze",
        examples="FREEZE_EXAMPLES",
    ),
    Command(
        name="thaw",
        module="ratchet.kubectl.switching",
        help="permit sending orders again",
        add="add_thaw",
        run="thaw",
        examples="THAW_EXAMPLES",
    ),
    Command(
        name="signals",
        module="ratchet.kubectl.reading",
        help="list the signals that were received, with what became of them",
        add="add_signals",
        run="signals",
        examples="SIGNALS_EXAMPLES",
    ),
    Command(
        name="incidents",
        module="ratchet.kubectl.reading",
        help="list what needs a person, or show one of them",
        add="add_incidents",
        run="incidents",
        examples="INCIDENTS_EXAMPLES",
    ),
    Command(
        name="verify",
        module="ratchet.kubectl.reading",
        help="run the invariants inside the cluster",
        add="add_verify",
        run="verify",
        examples="VERIFY_EXAMPLES",
    ),
    Command(name="drill", module="ratchet.kubectl.drill", help="break something on purpose, under load, and measure"),
    Command(name="report", module="ratchet.kubectl.report", help="print a drill's report, or a table of many"),
)
