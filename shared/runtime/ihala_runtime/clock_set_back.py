"""The wall clock of a database server was set back: what waits there for an instant is moved with it.

A retry is written down as an instant, because it outlives every process; without this an hour's correction would make
it an hour late. Deadlines are no such instants: they are kept in the time of the domain, and stay where they are.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from ihala_runtime.logs import logger
from ihala_runtime.postgres import Database

LOOK_EVERY_SECONDS = 15.0
NOTICED = timedelta(seconds=2)  # less is what time synchronisation does all the time

_log = logger(__name__)


@dataclass(frozen=True, slots=True)
class Waiting:
    """Rows of a table that wait until an instant on the server's clock. ``only``: SQL, which of them wait at all."""

    table: str
    column: str
    only: str = "true"


OF_EVERY_SERVICE = (
    Waiting("parked", "next_attempt_at", "state = 'waiting'"),
    Waiting("outbox_refused", "retry_at"),
    Waiting("unanswered", "ask_at"),
)


async def follow(database: Database, waiting: Sequence[Waiting]) -> None:
    """Mark the instant; where the clock is behind its last mark, move what waits by as much, once for all copies."""
    async with database.transaction() as work:
        mark = await work.conn.fetchval("SELECT at FROM clock_mark FOR UPDATE")
        now = await work.conn.fetchval("UPDATE clock_mark SET at = clock_timestamp() RETURNING at")
        back: timedelta = mark - now
        if back < NOTICED:
            return
        for each in (*OF_EVERY_SERVICE, *waiting):
            await work.conn.execute(_moved(each), back)
    _log.warning("the clock of the database was set back", action="clock", seconds=round(back.total_seconds()))


def _moved(waiting: Waiting) -> str:
    return (
        f"UPDATE {waiting.table} SET {waiting.column} = {waiting.column} - $1::interval"
        f" WHERE {waiting.column} > clock_timestamp() AND {waiting.only}"
    )
