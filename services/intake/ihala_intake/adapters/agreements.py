"""The agencies' data-sharing agreements: a read model of ``directory.partner.v1``. An older record changes nothing."""

from datetime import datetime

import asyncpg
from ihala_events.directory import Agreement, PartnerRecord


async def put(connection: asyncpg.Connection, record: PartnerRecord, changed_at: datetime) -> None:
    await connection.execute(
        "INSERT INTO partner_agreements AS known (partner_id, agreements, changed_at) VALUES ($1, $2, $3)"
        " ON CONFLICT (partner_id) DO UPDATE SET agreements = EXCLUDED.agreements, changed_at = EXCLUDED.changed_at"
        " WHERE known.changed_at <= EXCLUDED.changed_at",
        record.partner_id,
        [each.model_dump(mode="json") for each in record.agreements],
        changed_at,
    )


async def of_partner(connection: asyncpg.Connection, partner_id: str) -> list[Agreement]:
    """None of an agency whose record has not arrived."""
    stored = await connection.fetchval("SELECT agreements FROM partner_agreements WHERE partner_id = $1", partner_id)
    return [Agreement.model_validate(each, strict=False) for each in stored or ()]
