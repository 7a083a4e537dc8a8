"""Who each referral is addressed to now: a read model of ``referral.lifecycle.v1``. Older events change nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import asyncpg
from ihala_events.referral import ReferralEvent
from ihala_events.vocabulary import ReferralState
from ihala_runtime.postgres import Writes, as_rows


@dataclass(frozen=True, slots=True)
class Addressee:
    """``partner_id`` None: nobody is addressed at present."""

    referral_id: UUID
    case_id: UUID
    need_code: str
    partner_id: str | None
    partner_type: str | None


@dataclass(frozen=True, slots=True)
class News:
    """One event. addressed: True when its agency is asked, False when nobody is, None when that does not change."""

    event: ReferralEvent
    sequence: int
    addressed: bool | None


ENDED = frozenset({ReferralState.CLOSED, ReferralState.WITHDRAWN})

# OFFSET 0: each case is looked for by its key, where the planner might read all of them for a join.
_PUT = """
INSERT INTO addressee AS known (referral_id, case_id, need_id, need_code, partner_id, partner_type, attempt_no,
    ended_at, sequence)
SELECT referral_id, case_id, need_id, need_code, partner_id, partner_type, attempt_no, ended_at, sequence
FROM json_to_recordset($1::json) AS news (referral_id uuid, case_id uuid, need_id uuid, need_code text,
    partner_id text, partner_type text, attempt_no integer, ended_at timestamptz, sequence bigint)
WHERE NOT EXISTS (SELECT FROM case_file WHERE case_file.case_id = news.case_id AND erased_at IS NOT NULL OFFSET 0)
ORDER BY referral_id
ON CONFLICT (referral_id) DO UPDATE SET
    partner_id = EXCLUDED.partner_id,
    partner_type = EXCLUDED.partner_type,
    attempt_no = EXCLUDED.attempt_no,
    ended_at = EXCLUDED.ended_at,
    sequence = EXCLUDED.sequence
WHERE known.sequence < EXCLUDED.sequence
"""


def put(writes: Writes, news: Sequence[News]) -> None:
    """A batch of events in one statement: of each referral the last that says who is addressed."""
    last: dict[UUID, News] = {}
    for each in news:
        known = last.get(each.event.referral_id)
        if each.addressed is not None and (known is None or known.sequence < each.sequence):
            last[each.event.referral_id] = each
    if last:
        writes.add(_PUT, as_rows(map(_row, last.values())))


def _row(news: News) -> dict[str, object]:
    event = news.event
    return {
        "referral_id": event.referral_id,
        "case_id": event.case_id,
        "need_id": event.need_id,
        "need_code": event.need_code,
        "partner_id": event.partner_id if news.addressed else None,
        "partner_type": event.partner_type if news.addressed else None,
        "attempt_no": event.attempt_no,
        "ended_at": event.at if event.state in ENDED else None,
        "sequence": news.sequence,
    }


async def of_referral(connection: asyncpg.Connection, referral_id: UUID) -> Addressee | None:
    row = await connection.fetchrow(
        "SELECT referral_id, case_id, need_code, partner_id, partner_type FROM addressee WHERE referral_id = $1",
        referral_id,
    )
    return None if row is None else Addressee(**row)
