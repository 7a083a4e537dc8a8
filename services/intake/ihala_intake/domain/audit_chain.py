"""The chain of the audit trail: each row's hash covers the row and the hash before, so no row can be changed alone.

Pure. Rows are counted from 1 without a gap; anchors are hashes that were kept elsewhere when the rows were new.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

GENESIS = bytes(32)


@dataclass(frozen=True, slots=True)
class AuditRow:
    id: int
    at: datetime
    actor: str
    action: str
    case_id: UUID
    referral_id: UUID | None
    previous: bytes
    hash: bytes


class Fault(StrEnum):
    """What is wrong with a row: its content, its place, its absence, or that it is another than was anchored."""

    ALTERED = "altered"
    MOVED = "moved"
    MISSING = "missing"
    REWRITTEN = "rewritten"


@dataclass(frozen=True, slots=True)
class Break:
    row_id: int
    fault: Fault


@dataclass(frozen=True, slots=True)
class Link:
    """The end of what was verified. The chain begins at ``Link(0, GENESIS)``."""

    row_id: int
    hash: bytes


BEGINNING = Link(0, GENESIS)


def row_hash(previous: bytes, row_id: int, at: datetime, *texts: object) -> bytes:
    """SHA-256 over the previous hash and this row, fields separated so that none can slide into the next."""
    fields = [str(row_id), at.isoformat(), *("" if text is None else str(text) for text in texts)]
    return hashlib.sha256(previous + "\x1f".join(fields).encode()).digest()


def verified(rows: Sequence[AuditRow], end: Link, anchors: Mapping[int, bytes]) -> Link | Break:
    """The new end after these rows, which follow ``end`` in the order of their ids; or the first row that breaks."""
    for row in rows:
        if fault := _fault(row, end, anchors):
            return fault
        end = Link(row.id, row.hash)
    return end


def _fault(row: AuditRow, end: Link, anchors: Mapping[int, bytes]) -> Break | None:
    if row.id != end.row_id + 1:
        return Break(end.row_id + 1, Fault.MISSING)
    computed = row_hash(row.previous, row.id, row.at, row.actor, row.action, row.case_id, row.referral_id)
    if computed != row.hash:
        return Break(row.id, Fault.ALTERED)
    if row.previous != end.hash:
        return Break(row.id, Fault.MOVED)
    if anchors.get(row.id, row.hash) != row.hash:
        return Break(row.id, Fault.REWRITTEN)
    return None


def complete(end: Link, anchors: Mapping[int, bytes]) -> Break | None:
    """None, or the first of the rows that an anchor knows and the end of the chain has lost."""
    return Break(end.row_id + 1, Fault.MISSING) if any(row_id > end.row_id for row_id in anchors) else None
