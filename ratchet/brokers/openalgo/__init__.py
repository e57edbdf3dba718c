"""The OpenAlgo client. aiohttp is known in `session` and `transport` only.

`client` has the calls, `transport` one POST and what was seen of it, `session` the shared connections, `wire`, `books`
and `market` the shapes, `outcomes` the table of what an answer, or its absence, proves about an order.
"""
