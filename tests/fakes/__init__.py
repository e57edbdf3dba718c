"""Small hand-written stand-ins that behave like the real thing: no mocks, nothing that needs a server."""
