"""The rules of the house, kept by tests: sizes, floors, exact money, no sleeping, no traces of one machine."""
