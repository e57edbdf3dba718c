"""Cutting an order that is larger than the exchange takes at once."""

from __future__ import annotations


def slices(quantity: int, lot_size: int, freeze: int) -> tuple[int, ...]:
    """Cut `quantity` units into orders of whole lots, each at most `freeze` units, the larger ones first.

    A freeze of 0 means that the exchange sets none; one smaller than a lot cannot be met by any whole lot. Neither
    cuts: the broker has the last word. Source: docs/domain.md, D-8.
    Raises ValueError if the quantity is not a positive number of whole lots.
    """
    if lot_size <= 0 or quantity <= 0 or quantity % lot_size:
        raise ValueError(f"{quantity} units are not whole lots of {lot_size}")
    most = freeze // lot_size * lot_size
    if most <= 0:
        return (quantity,)
    full, rest = divmod(quantity, most)
    return (most,) * full + ((rest,) if rest else ())
