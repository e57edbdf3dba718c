"""The command `ratchet`: everything a person does with this project, from a laptop's start to an incident's decision.

Belongs here: command lines and what they print, one module for each group of commands.
Does not belong here: rules, SQL, HTTP servers; a command calls those who have them.
"""

from ratchet.cli.main import main

__all__ = ["main"]
