"""What the HTTP calls share: the database, the environment, who calls."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Annotated, Any, TypeVar
from uuid import UUID

import asyncpg
from fastapi import Query, Request
from ihala_events.vocabulary import PARTY_ID_PATTERN
from ihala_runtime.access import Principal
from ihala_runtime.failures import DependencyDown
from ihala_runtime.postgres import Database
from ihala_runtime.problem import FieldError, Problem

from ihala_referral.adapters.directory_store import names_of
from ihala_referral.adapters.postgres_unit import PostgresUnit, open_unit
from ihala_referral.adapters.snapshots import Environment
from ihala_referral.domain.sentences import Sentences, names_told, with_sentences
from ihala_referral.domain.visibility import Viewer
from ihala_referral.handlers.publish_indicators import PublishIndicators

T = TypeVar("T")

MOVE_POINTS = "referral.move"
TRIES = 3  # another transaction may take the last place of an agency between reading and writing

Limit = Annotated[int, Query(ge=1, le=200)]
Cursor = Annotated[str | None, Query(pattern="^[a-z0-9-]{1,63}$")]
PartyQuery = Annotated[str | None, Query(pattern=PARTY_ID_PATTERN)]

FIRST_YEAR, LAST_YEAR = 2000, 2100  # nothing outside can be meant, and calendars do not reach further


@dataclass(frozen=True, slots=True)
class Doors:
    """parties_changed: set when a party may need topics of its own."""

    database: Database
    environment: Environment
    sentences: Sentences
    publish_indicators: PublishIndicators
    parties_changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def told(self, connection: asyncpg.Connection, shown: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """These referrals as shown, their explanations also in sentences."""
        wanted = {name for each in shown for name in names_told(each)}
        names = await names_of(connection, wanted) if wanted else {}
        return [with_sentences(each, names, self.sentences) for each in shown]

    async def in_unit(self, referral_ids: Sequence[UUID], act: Callable[[PostgresUnit], Awaitable[T]]) -> T:
        """One transaction with these referrals locked; repeated when a place was taken meanwhile."""
        for left in reversed(range(TRIES)):
            try:
                async with (
                    self.database.transaction(MOVE_POINTS) as work,
                    open_unit(work, self.environment, referral_ids) as unit,
                ):
                    return await act(unit)
            except DependencyDown:
                if not left:
                    raise
        raise AssertionError("unreachable")


def doors_of(request: Request) -> Doors:
    doors: Doors = request.app.state.doors
    return doors


def viewer_of(principal: Principal) -> Viewer:
    return Viewer(principal.role, principal.party_id, principal.desk_ids)


def referral_id_of(text: str) -> UUID:
    """What is no UUID is no referral of ours either."""
    try:
        return UUID(text)
    except ValueError:
        raise Problem.not_found() from None


def party_id_of(text: str) -> str:
    """What is no party's id names nobody."""
    if not re.fullmatch(PARTY_ID_PATTERN, text):
        raise Problem.not_found()
    return text


def checked_year(day: date, pointer: str) -> None:
    if not FIRST_YEAR <= day.year <= LAST_YEAR:
        raise Problem.invalid([FieldError(pointer, "out-of-range", f"must lie in {FIRST_YEAR} to {LAST_YEAR}")])


def page_of(found: Sequence[dict[str, Any]], limit: int, cursor: str) -> dict[str, Any]:
    """The answer of a list.  found: one more than `limit` where there are more.  cursor: the field that goes on."""
    page = list(found[:limit])
    return {"items": page, "next_cursor": page[-1][cursor] if len(found) > limit else None}


def cursor_id(cursor: str | None) -> UUID | None:
    try:
        return None if cursor is None else UUID(cursor)
    except ValueError:
        raise Problem.invalid([FieldError("/cursor", "wrong-format", "is not a cursor of this list")]) from None
