"""The documentation, compared with the code that it describes."""
