"""The documentation. Pages that the code itself knows are made by `python -m docs.generate`."""
