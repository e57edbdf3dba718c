"""Leases and electors: the same promises on a row of the database and on a Kubernetes Lease."""
