"""Measures what the promises cost: every figure a ratio or a CPU time, taken in one run on one machine."""
