"""Brokers: what the executor needs of one (`base`), the OpenAlgo client, and a simulated OpenAlgo server."""
