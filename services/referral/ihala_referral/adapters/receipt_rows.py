"""Which events for an agency reached its channel.

Owns `tried` and `receipt_at` of an attempt, which the referral never writes, and `told`, for events beside `sent`.
"""

from collections.abc import Collection, Mapping
from typing import NamedTuple
from uuid import UUID

from ihala_runtime.postgres import Writes


class Sending(NamedTuple):
    referral_id: UUID
    attempt_no: int


def note_receipts(writes: Writes, receipts: Mapping[Sending, bool]) -> None:
    """receipts: whether the delivery was at least tried; suppressed unsent it was not."""
    rows = sorted((*sending, tried) for sending, tried in receipts.items())
    if not rows:
        return
    writes.add(
        "UPDATE attempt SET tried = attempt.tried OR given.tried,"
        " receipt_at = coalesce(attempt.receipt_at, clock_timestamp())"
        " FROM unnest($1::uuid[], $2::integer[], $3::boolean[]) AS given (referral_id, attempt_no, tried)"
        " WHERE attempt.referral_id = given.referral_id AND attempt.attempt_no = given.attempt_no"
        " AND (attempt.receipt_at IS NULL OR attempt.tried < given.tried)",
        *(list(column) for column in zip(*rows, strict=True)),
    )


def note_told(writes: Writes, event_ids: Collection[UUID]) -> None:
    if event_ids:
        writes.add("INSERT INTO told SELECT unnest($1::uuid[]) ON CONFLICT DO NOTHING", sorted(event_ids))
