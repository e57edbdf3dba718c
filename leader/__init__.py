"""The leader: one process of several that runs recovery, reconciliation and the daily schedule.

Belongs here: election, the schedule of duties, the process around them. Does not belong here: what a duty does.
Being elected picks the worker and proves nothing: each duty is safe if two leaders run it, and what only one may do is
fenced by the epoch of the database. Source: docs/protocol.md, section 9.
"""
