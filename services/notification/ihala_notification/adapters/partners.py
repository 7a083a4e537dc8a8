"""The agencies as this service needs them, copied from the directory's topic.

One that was stopped is told nothing from the moment its record is here: what waits for it is suppressed.
"""

from datetime import UTC, datetime

from ihala_events.directory import PartnerRecord
from ihala_runtime.postgres import Work

from ihala_notification.adapters.outgoing import Lanes, delivery_of
from ihala_notification.adapters.receipts import Receipt
from ihala_notification.domain.delivery import Channel, DeliveryState, Unsent


async def store_partner(work: Work, record: PartnerRecord, changed_at: datetime, lanes: Lanes) -> None:
    """The whole record each time; an older one changes nothing."""
    was_stopped = await work.conn.fetchval("SELECT stopped FROM partner WHERE partner_id = $1", record.partner_id)
    stored = await store_row(work, record, changed_at)
    if stored is not None and stored != bool(was_stopped):
        await work.conn.execute(_SHOW_TO_EVERY_COPY, record.partner_id)
        work.after_commit.append(lanes.wake)
        if stored:
            await _suppress_what_waits(work, record.partner_id, lanes)


async def store_row(work: Work, record: PartnerRecord, changed_at: datetime) -> bool | None:
    """Whether it is stopped; None where a newer record is there. Nothing but the row: a rebuild uses it too."""
    stopped: bool | None = await work.conn.fetchval(
        _STORE,
        record.partner_id,
        [channel.value for channel in record.channels],
        record.names.model_dump(),
        changed_at,
        record.stopped is not None,
    )
    return stopped


async def _suppress_what_waits(work: Work, partner_id: str, lanes: Lanes) -> None:
    rows = await work.conn.fetch(_SUPPRESS_ALL, partner_id, Unsent.PARTNER_STOPPED)
    for row in rows:
        now, why = datetime.now(UTC), Unsent.PARTNER_STOPPED
        receipt = Receipt(
            DeliveryState.SUPPRESSED, Channel.WEBHOOK, row["sequence"], row["tries"], now, reason=why.value
        )
        work.record(receipt.about(delivery_of(row)))
    work.after_commit.append(lambda: lanes.forget([row["delivery_id"] for row in rows]))


_STORE = """
INSERT INTO partner (partner_id, channels, names, changed_at, stopped) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (partner_id) DO UPDATE SET channels = EXCLUDED.channels, names = EXCLUDED.names,
    changed_at = EXCLUDED.changed_at, stopped = EXCLUDED.stopped WHERE partner.changed_at <= EXCLUDED.changed_at
RETURNING stopped
"""
# Every copy of the service looks for changed endpoints each second.
_SHOW_TO_EVERY_COPY = "UPDATE endpoint SET changed_at = clock_timestamp() WHERE partner_id = $1"
_SUPPRESS_ALL = """
WITH waiting AS (
    SELECT delivery_id FROM delivery WHERE partner_id = $1 AND channel = 'webhook' AND state = 'pending'
    ORDER BY position FOR UPDATE)
UPDATE delivery d SET state = 'suppressed', sequence = sequence + 1, last_reason = $2, lease_owner = NULL,
    lease_until = NULL, ended_at = clock_timestamp()
FROM waiting WHERE d.delivery_id = waiting.delivery_id AND d.channel = 'webhook'
RETURNING d.*
"""
