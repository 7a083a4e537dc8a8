"""``GET /v1/reconciliation``: what this service accounts for, by id, and what lacks its answer."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any

import asyncpg
from fastapi import APIRouter, Query, Request
from ihala_events.wire import Instant

from ihala_runtime.access import Principal, allow
from ihala_runtime.postgres import Database
from ihala_runtime.reconciliation import Span, unanswered

router = APIRouter(prefix="/v1", tags=["operating"])

Accounts = Callable[[asyncpg.Connection, Span, str, int], Awaitable[list[dict[str, Any]]]]
"""Items of a span in the order of their ``id``, after the one given, at most so many."""


async def no_accounts(_connection: asyncpg.Connection, _span: Span, _after: str, _limit: int) -> list[dict[str, Any]]:
    return []


@dataclass(frozen=True, slots=True)
class Books:
    database: Database
    accounts: Accounts


@router.get("/reconciliation")
async def reconciliation(
    request: Request,
    _caller: Annotated[Principal, allow("operator")],
    since: Instant,
    until: Instant,
    limit: Annotated[int, Query(ge=1, le=1_000)] = 200,
    cursor: Annotated[str, Query(max_length=100)] = "",
) -> dict[str, Any]:
    """Ids and states alone; `unanswered` is all there is now, whatever the span."""
    books: Books = request.app.state.books
    async with books.database.connection() as connection:
        items = await books.accounts(connection, Span(since, until), cursor, limit)
        lacking = await unanswered(connection)
    return {"items": items, "next_cursor": items[-1]["id"] if len(items) == limit else None, "unanswered": lacking}
