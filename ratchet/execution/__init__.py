"""The exactly-once path, shared by both deployables: accept, claim, intend, send, record, resolve.

What belongs here: the order in which durable steps and outside effects happen. What does not: SQL (persistence),
rules that only compute (domain), HTTP (service, brokers).
"""
