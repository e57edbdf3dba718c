"""Leadership in the database: the lease row, for places without Kubernetes, and the fence that every leader needs.

The lease picks who works and proves nothing; the fence's epoch decides who may write.
Source: docs/protocol.md, section 9.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import BigInteger, Integer, String, bindparam, case, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from ratchet.broken import Broken, is_broken
from ratchet.persistence.tables import leader_fence, lease
from ratchet.persistence.transaction import Transaction
from ratchet.persistence.types import db_now

_INSERTS = (("postgresql", postgresql.insert), ("sqlite", sqlite.insert))

_READ = select(lease).where(lease.c.name == bindparam("name"))
_NEW_HOLDER = bindparam("new_holder", type_=String)
_CREATE = {
    dialect: make(lease)
    .values(
        name=bindparam("name"),
        uid=bindparam("uid"),
        holder=_NEW_HOLDER,
        duration_seconds=bindparam("new_duration", type_=Integer),
        acquired_at=db_now(),
        renewed_at=db_now(),
        transitions=0,
        version=1,
    )
    .on_conflict_do_nothing(index_elements=["name"])
    .returning(lease)
    for dialect, make in _INSERTS
}
_REPLACE = (
    update(lease)
    .where(
        lease.c.name == bindparam("name"),
        lease.c.uid == bindparam("uid"),
        lease.c.version == bindparam("seen_version", type_=BigInteger),
    )
    .values(
        holder=_NEW_HOLDER,
        duration_seconds=bindparam("new_duration", type_=Integer),
        acquired_at=case((lease.c.holder == _NEW_HOLDER, lease.c.acquired_at), else_=db_now()),
        renewed_at=db_now(),
        transitions=bindparam("new_transitions", type_=BigInteger),
        version=lease.c.version + 1,
    )
    .returning(lease)
)

_ROLE = leader_fence.c.role == bindparam("k_role", type_=String)
_UID = bindparam("new_uid", type_=String)
_TRANSITIONS = bindparam("new_transitions", type_=BigInteger)
_TAKE = (
    update(leader_fence)
    .where(
        _ROLE,
        or_(
            leader_fence.c.lease_uid.is_(None),
            leader_fence.c.lease_uid != _UID,
            leader_fence.c.lease_transitions < _TRANSITIONS,
        ),
    )
    .values(
        epoch=leader_fence.c.epoch + 1,
        holder=_NEW_HOLDER,
        lease_uid=_UID,
        lease_transitions=_TRANSITIONS,
        taken_at=db_now(),
    )
    .returning(leader_fence.c.epoch)
)
_FENCE = select(leader_fence).where(_ROLE)
_SHARE = select(leader_fence.c.epoch).where(_ROLE).with_for_update(read=True)


class FencedOut(Exception):
    """A later leader has taken over, or the right to act has ended: this process does nothing more as the leader."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseRow:
    """The lease as it is. Times by the database's clock; version grows with each write."""

    name: str
    uid: str
    holder: str
    duration_seconds: int
    acquired_at: datetime
    renewed_at: datetime
    transitions: int
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FenceRow:
    """The fence as it is; holder and what follows are None until the first leader."""

    role: str
    epoch: int
    holder: str | None
    lease_uid: str | None
    lease_transitions: int | None
    taken_at: datetime | None


async def read(tx: Transaction, name: str) -> LeaseRow | None:
    """Return the lease, or None if there is none."""
    row = await tx.first(_READ, name=name)
    return None if row is None else LeaseRow(**row)


async def create(tx: Transaction, name: str, *, uid: str, holder: str, duration_seconds: int) -> LeaseRow | None:
    """Make the lease with `transitions` 0 and return it; None if there is one already."""
    row = await tx.first(_CREATE[tx.dialect], name=name, uid=uid, new_holder=holder, new_duration=duration_seconds)
    return None if row is None else LeaseRow(**row)


async def replace(
    tx: Transaction, name: str, *, uid: str, version: int, holder: str, duration_seconds: int, transitions: int
) -> LeaseRow | None:
    """Write over the version that was seen, renewing it, and return the result; None if it is another one by now."""
    row = await tx.first(
        _REPLACE,
        name=name,
        uid=uid,
        seen_version=version,
        new_holder=holder,
        new_duration=duration_seconds,
        new_transitions=transitions,
    )
    return None if row is None else LeaseRow(**row)


async def take_epoch(tx: Transaction, role: str, *, holder: str, lease_uid: str, transitions: int) -> int | None:
    """Raise the epoch for this win of the lease and return it; None if this or a later win has raised it already."""
    row = await tx.first(_TAKE, k_role=role, new_holder=holder, new_uid=lease_uid, new_transitions=transitions)
    return None if row is None else int(row["epoch"])


async def check_epoch(tx: Transaction, role: str, epoch: int) -> bool:
    """Return whether `epoch` still leads, and keep it so until the transaction ends (FOR SHARE)."""
    if is_broken(Broken.NO_FENCE):
        return True
    row = await tx.first(_SHARE, k_role=role)
    return row is not None and row["epoch"] == epoch


async def fence(tx: Transaction, role: str) -> FenceRow | None:
    """Return the fence of a role as it is, without holding it."""
    row = await tx.first(_FENCE, k_role=role)
    return None if row is None else FenceRow(**row)
