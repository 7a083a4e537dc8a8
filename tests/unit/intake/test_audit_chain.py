"""The audit chain: whatever is done to one row, or to the end of the chain, is found and named (P20)."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from ihala_intake.domain.audit_chain import BEGINNING, AuditRow, Break, Fault, Link, complete, row_hash, verified

START = datetime(2026, 11, 23, 8, 30, tzinfo=UTC)
Rows = list[AuditRow]


def a_chain(rows: int = 5) -> Rows:
    chain: Rows = []
    previous = bytes(32)
    for number in range(1, rows + 1):
        at, case_id = START + timedelta(minutes=number), UUID(int=number)
        hashed = row_hash(previous, number, at, "desk:one", "case-read", case_id, None)
        chain.append(AuditRow(number, at, "desk:one", "case-read", case_id, None, previous, hashed))
        previous = hashed
    return chain


def rewritten(chain: Rows, place: int) -> Rows:
    """All hashes from the place on made anew, as somebody with the database in hand could."""
    changed = chain[:place]
    for row in chain[place:]:
        previous = changed[-1].hash
        actor = "desk:two" if row is chain[place] else row.actor
        hashed = row_hash(previous, row.id, row.at, actor, row.action, row.case_id, row.referral_id)
        changed.append(replace(row, actor=actor, previous=previous, hash=hashed))
    return changed


def swapped(chain: Rows) -> Rows:
    """Rows 2 and 3 under each other's id."""
    return [chain[0], replace(chain[2], id=2), replace(chain[1], id=3), *chain[3:]]


def test_a_chain_as_it_was_written_holds() -> None:
    chain = a_chain()

    assert verified(chain, BEGINNING, {3: chain[2].hash}) == Link(5, chain[4].hash)


def test_it_is_verified_in_pages() -> None:
    chain = a_chain()
    half = verified(chain[:2], BEGINNING, {})

    assert isinstance(half, Link)
    assert verified(chain[2:], half, {}) == Link(5, chain[4].hash)


@pytest.mark.parametrize(
    ("tamper", "found"),
    [
        (lambda chain: [chain[0], replace(chain[1], actor="desk:two"), *chain[2:]], Break(2, Fault.ALTERED)),
        (lambda chain: [chain[0], replace(chain[1], at=START), *chain[2:]], Break(2, Fault.ALTERED)),
        (lambda chain: [chain[0], replace(chain[1], case_id=UUID(int=9)), *chain[2:]], Break(2, Fault.ALTERED)),
        (lambda chain: [chain[0], replace(chain[1], previous=bytes(32)), *chain[2:]], Break(2, Fault.ALTERED)),
        (lambda chain: [chain[0], *chain[2:]], Break(2, Fault.MISSING)),
        (lambda chain: chain[1:], Break(1, Fault.MISSING)),
        (swapped, Break(2, Fault.ALTERED)),
        (lambda chain: [*chain[:3], a_chain(2)[1], chain[4]], Break(4, Fault.MISSING)),
    ],
    ids=["actor", "time", "case", "link", "one deleted", "first deleted", "two swapped", "one copied over another"],
)
def test_what_is_done_to_one_row_is_found(tamper: Callable[[Rows], Rows], found: Break) -> None:
    assert verified(tamper(a_chain()), BEGINNING, {}) == found


def test_a_chain_written_anew_is_found_by_its_anchor() -> None:
    chain = a_chain()

    assert isinstance(verified(rewritten(chain, 2), BEGINNING, {}), Link)
    assert verified(rewritten(chain, 2), BEGINNING, {5: chain[4].hash}) == Break(5, Fault.REWRITTEN)


def test_an_end_that_was_cut_off_is_found_by_its_anchor() -> None:
    chain = a_chain()
    end = verified(chain[:4], BEGINNING, {5: chain[4].hash})

    assert isinstance(end, Link)
    assert complete(end, {5: chain[4].hash}) == Break(5, Fault.MISSING)
    assert complete(end, {4: chain[3].hash}) is None
