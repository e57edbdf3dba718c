"""Tests of single modules, in memory, in the same tree as the code."""
