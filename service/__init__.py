"""Deployment 1: the signal pod's HTTP side. Stateless; every answer to a signal comes after its row is durable.

Belongs here: routes, tokens, bounds on what clients can do, the page a person opens, the server's life and its drain.
Does not belong here: rules about signals (ratchet.domain), SQL (ratchet.persistence), the work (ratchet.execution).
"""
