"""The agencies as this service needs them, copied from the directory's topic."""

from datetime import datetime

from ihala_events.directory import PartnerRecord
from ihala_runtime.postgres import Work


async def store_partner(work: Work, record: PartnerRecord, changed_at: datetime) -> None:
    """The whole record each time; an older one changes nothing."""
    await work.conn.execute(
        "INSERT INTO partner (partner_id, channels, names, changed_at) VALUES ($1, $2, $3, $4)"
        " ON CONFLICT (partner_id) DO UPDATE SET channels = EXCLUDED.channels, names = EXCLUDED.names,"
        " changed_at = EXCLUDED.changed_at WHERE partner.changed_at <= EXCLUDED.changed_at",
        record.partner_id,
        [channel.value for channel in record.channels],
        record.names.model_dump(),
        changed_at,
    )
