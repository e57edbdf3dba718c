"""What every reading route shares: the bearer token, one page's bounds, and a database that may be away."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Query, Request, Security
from fastapi.security import HTTPBearer

from ratchet.persistence.errors import PersistenceError
from ratchet.persistence.lists import Listing, Page, page
from ratchet.persistence.transaction import Transaction
from service import cursors
from service.problems import Problem, Refused

bearer = HTTPBearer(auto_error=False, scheme_name="apiToken", description="RATCHET_API_TOKEN")


async def authorized(request: Request, _documented: Annotated[object, Security(bearer)]) -> None:
    """Let nobody in without the API token. Raises Refused."""
    if not request.app.state.api_tokens.accepts(request.scope["headers"]):
        raise Refused(Problem.UNAUTHORIZED)


Name = Annotated[str | None, Query(max_length=64, pattern=r"^[ -~]*$")]
"""A filter by an account, an instrument and the like: what such a name can hold."""

Limit = Annotated[int | None, Query(ge=1, description="Rows of one page.")]
Cursor = Annotated[str | None, Query(max_length=400, description="`next` of the page before.")]


@dataclass(frozen=True, slots=True)
class Paging:
    """Which page of a list is asked for."""

    limit: int
    cursor: str | None


async def paging(request: Request, limit: Limit = None, cursor: Cursor = None) -> Paging:
    """Return the page that is asked for. Raises Refused for one that is too long."""
    http = request.app.state.rt.settings.http
    if limit is not None and limit > http.page_size_limit:
        raise Refused(Problem.INVALID_REQUEST, f"At most {http.page_size_limit} rows.", field="limit")
    return Paging(http.page_size if limit is None else limit, cursor)


Asked = Annotated[Paging, Depends(paging)]


@asynccontextmanager
async def reading(request: Request, *, stale: bool = False) -> AsyncIterator[Transaction]:
    """Open a read-only transaction. Raises Refused while the database is away or not migrated.

    stale: what a read replica shows will do.
    """
    try:
        async with request.app.state.rt.db.reading(stale=stale) as tx:
            yield tx
    except PersistenceError as error:
        if not request.app.state.readiness.migrated:
            raise Refused(Problem.DATABASE_AWAY, "The database is away, or not migrated yet.") from error
        if error.retryable:
            raise Refused(Problem.DATABASE_AWAY) from error
        raise


async def one_page(
    tx: Transaction, listing: Listing, asked: Paging, filters: Mapping[str, Any]
) -> tuple[Page, str | None]:
    """Return the rows that are asked for, and the cursor of the next page. Filters that are None do not count."""
    after = None if asked.cursor is None else cursors.decode(asked.cursor, listing.key_kinds)
    where = {name: value for name, value in filters.items() if value is not None}
    found = await page(tx, listing, where=where, after=after, limit=asked.limit)
    return found, None if found.next_after is None else cursors.encode(found.next_after)
