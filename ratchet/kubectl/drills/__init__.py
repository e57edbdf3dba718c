"""Drills: a release is broken on purpose, under load, and what had to hold is audited.

Belongs here: what each drill is and promises, how its fault is made and mended, what is sent meanwhile, the report.
"""
