"""The trading rules: values in, decisions out.

What belongs here: words (numbers, identity, reasons), things (signals, instruments, orders, positions) and
decisions (sizing, gates, stops, price ladders, resolving, reconciliation), with the standard library alone.
What does not: I/O, clocks, asyncio, SQL, HTTP, settings.
"""
