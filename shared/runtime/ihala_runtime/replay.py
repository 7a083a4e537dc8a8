"""What this service published, published again: same ids, same bytes, same sequences, marked ``ce_again``.

Inboxes drop what was handled. Only events younger than what an inbox remembers go out again, so that nothing acts
twice; agencies' own topics only when they shall be told again; of a compacted topic only the last record of a key.
"""

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import asyncpg
from ihala_events.topics import FIXED_TOPICS

from ihala_runtime import operator_log
from ihala_runtime.consumer import FOR_REBUILD
from ihala_runtime.inbox import KEEP_DAYS
from ihala_runtime.outbox import BLANKED

AT_ONCE = 2_000  # new events wait no longer than these take
REMEMBERED_DAYS = KEEP_DAYS - 1
REPLAY = "replay"
COMPACTED = [topic.name for topic in FIXED_TOPICS if topic.config.get("cleanup.policy") == "compact"]
_TIMEOUT = "SET LOCAL statement_timeout = '10min'"  # a key is searched in the whole log: rare, and nobody waits


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which events; None leaves a field open. ``keys``: of Kafka, so a case, a referral, an agency.

    ``after``: the last instant of the page before.  ``notify``: agencies' own topics too.  ``rebuild``: for
    the reader of a rebuild alone, who wants all of the history; consumers pass these by.
    """

    keys: tuple[str, ...] | None = None
    topics: tuple[str, ...] | None = None
    since: datetime | None = None
    until: datetime | None = None
    after: datetime | None = None
    notify: bool = False
    rebuild: bool = False


@dataclass(frozen=True, slots=True)
class Replayed:
    """``next_after``: where the next page begins; None after the last one."""

    events: int
    next_after: datetime | None


async def replay(connection: asyncpg.Connection, chosen: Chosen, actor: str) -> Replayed:
    """One page, in the order of the log; what waits in the outbox anyway is left out."""
    await connection.execute(_TIMEOUT)
    rows = await connection.fetch(
        _REPLAY,
        chosen.keys and list(chosen.keys),
        chosen.topics and list(chosen.topics),
        chosen.since,
        chosen.until,
        chosen.after,
        chosen.notify,
        None if chosen.rebuild else REMEMBERED_DAYS,
        COMPACTED,
        FOR_REBUILD if chosen.rebuild else REPLAY,
        AT_ONCE,
    )
    details = {**asdict(chosen), "events": len(rows)}
    await operator_log.note(connection, actor, "replay", details={name: _plain(each) for name, each in details.items()})
    return Replayed(len(rows), max(row["created_at"] for row in rows) if len(rows) >= AT_ONCE else None)


async def on_their_way(connection: asyncpg.Connection) -> int:
    """Events of replays that Kafka has not taken yet."""
    count: int = await connection.fetchval("SELECT count(*) FROM outbox WHERE again IS NOT NULL")
    return count


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value


_REPLAY = f"""
WITH page AS (
    SELECT event_id, created_at, sequence FROM event
    WHERE ($1::text[] IS NULL OR key = ANY($1)) AND ($2::text[] IS NULL OR topic = ANY($2))
        AND ($3::timestamptz IS NULL OR created_at >= $3) AND ($4::timestamptz IS NULL OR created_at < $4)
        AND ($5::timestamptz IS NULL OR created_at > $5)
        AND ($6 OR topic NOT LIKE 'party.%')
        AND ($7::integer IS NULL OR topic = ANY($8)
            OR created_at > clock_timestamp() - make_interval(days => $7))
        AND (NOT topic = ANY($8) OR NOT EXISTS (
            SELECT FROM event AS later WHERE later.aggregate_id = event.aggregate_id
                AND later.sequence > event.sequence AND later.topic = event.topic))
        AND payload <> {BLANKED}
        AND NOT EXISTS (SELECT FROM outbox WHERE outbox.event_id = event.event_id)
        AND NOT EXISTS (SELECT FROM outbox_refused WHERE outbox_refused.event_id = event.event_id)
    ORDER BY created_at FETCH FIRST $10 ROWS WITH TIES
), out AS (
    INSERT INTO outbox (event_id, again) SELECT event_id, $9 FROM page ORDER BY created_at, sequence
)
SELECT created_at FROM page
"""
