"""The table of commands. A command's module is imported only when it is used, so that `--help` is quick."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module

from ratchet.cli.exits import Exit
from ratchet.cli.output import Output


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One command: where its functions and texts stand. help: one line for the list of commands."""

    name: str
    module: str
    help: str
    add: str = "add"
    run: str = "run"
    examples: str = "EXAMPLES"

    def declare(self, parser: argparse.ArgumentParser) -> None:
        """Declare its command line, and its examples for --help."""
        module = import_module(self.module)
        parser.epilog = getattr(module, self.examples)
        getattr(module, self.add)(parser)

    def function(self) -> Callable[[argparse.Namespace, Output], Exit]:
        """Return what runs it."""
        found: Callable[[argparse.Namespace, Output], Exit] = getattr(import_module(self.module), self.run)
        return found


COMMANDS = (
    Command(name="run", module="ratchet.cli.run", help="run everything in one process, on a laptop"),
    Command(name="send", module="ratchet.cli.send", help="send signals: samples, a file of messages, or a load"),
    Command(
        name="status",
        module="ratchet.cli.show",
        help="show a service's health, equity and open incidents",
        add="add_status",
        run="status",
        examples="STATUS_EXAMPLES",
    ),
    Command(
        name="positions",
        module="ratchet.cli.show",
        help="list positions with what they hold",
        add="add_positions",
        run="positions",
        examples="POSITIONS_EXAMPLES",
    ),
    Command(
        name="signals",
        module="ratchet.cli.show",
        help="list the signals that were received, with what became of them",
        add="add_signals",
        run="signals",
        examples="SIGNALS_EXAMPLES",
    ),
    Command(name="incidents", module="ratchet.cli.incidents", help="list, show and decide what needs a person"),
    Command(name="kill-switch", module="ratchet.cli.kill_switch", help="stop and permit sending of orders"),
    Command(name="verify", module="ratchet.cli.verify", help="run the invariants and print each with its count"),
    Command(name="migrate", module="ratchet.cli.migrate", help="prepare the database: up, down, check"),
    Command(name="config", module="ratchet.cli.configuration", help="check the settings, show what holds"),
    Command(name="simulator", module="ratchet.cli.simulator", help="run the simulated broker alone"),
)
