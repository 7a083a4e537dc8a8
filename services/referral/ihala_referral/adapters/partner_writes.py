"""Changes of one agency's record, with their event, in the transaction at hand."""

from collections.abc import Callable, Mapping
from datetime import datetime

import asyncpg
from ihala_events.directory import PartnerRecord
from ihala_runtime.postgres import Work

from ihala_referral.adapters.capacity_rows import publish_places
from ihala_referral.adapters.directory_store import lock_directory, put_partner, record_of

NumbersInto = Callable[[PartnerRecord, Mapping[str, int | None]], PartnerRecord]


async def change_capacity(
    work: Work, partner_id: str, places: Mapping[str, int | None], into: NumbersInto, at: datetime
) -> PartnerRecord | None:
    """into: the use case that accepts the numbers.  None for an agency that is not in the directory."""
    record = await _locked(work.conn, partner_id)
    if record is None:
        return None
    changed = into(record, places)
    work.record(await put_partner(work.conn, changed, at, routing_reads_it=False))
    await publish_places(work.conn, partner_id, places, at)
    return changed


async def change_record(
    work: Work, partner_id: str, change: Callable[[PartnerRecord], PartnerRecord], at: datetime
) -> PartnerRecord | None:
    """The record as it is then, with an event where it changed; None for an agency that is not in the directory."""
    await lock_directory(work.conn)
    record = await _locked(work.conn, partner_id)
    if record is None:
        return None
    changed = change(record)
    if changed != record:
        work.record(await put_partner(work.conn, changed, at))
    return changed


async def replace_record(work: Work, record: PartnerRecord, at: datetime) -> PartnerRecord:
    """Insert or replace; numbers that the record does not name stay as they were published.

    What has calls of its own, agreements and a stop, stays; the record brings them only for an agency that is new.
    """
    before = await _locked(work.conn, record.partner_id)
    standing = before or record
    kept = {} if before is None else {code: n for code, n in before.capacity.items() if code in record.need_codes}
    stored = record.model_copy(
        update={"capacity": {**kept, **record.capacity}, "agreements": standing.agreements, "stopped": standing.stopped}
    )
    if before != stored:
        work.record(await put_partner(work.conn, stored, at))
        await publish_places(work.conn, record.partner_id, record.capacity, at)
    return stored


async def _locked(connection: asyncpg.Connection, partner_id: str) -> PartnerRecord | None:
    stored = await connection.fetchval("SELECT record FROM partner WHERE partner_id = $1 FOR UPDATE", partner_id)
    return None if stored is None else record_of(stored)
