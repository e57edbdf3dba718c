"""How the schema came to be, one revision after the other.

What belongs here: `versions/` and the DDL that they use. A revision that was released is never edited; a change of a
table, or of the states that a trigger allows, is a new revision. `tables` and the triggers' source describe the
present; tests compare both with what the revisions build.
"""
