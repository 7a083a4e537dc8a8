"""Two rule sets over the same past cases: what would have gone elsewhere.

Owns what counts as a change, and which cases are never an example: whoever may write a rule set must not learn from
it which case holds a restricted need or what points to one (P07).  Every case is routed by both at the instant at
which it was routed then, over the present directory and calendar and without counted places, so that the rules alone
differ.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from ihala_events.vocabulary import RESTRICTED_NEEDS, masked
from ihala_events.wire import rfc3339

from ihala_referral.domain.case import Case
from ihala_referral.domain.errors import NoCoordinationCell
from ihala_referral.domain.routing import Routed, World, is_sensitive, route

MOST_EXAMPLES = 20


class Change(StrEnum):
    """added, dropped: one of the two makes no such referral.  state: with the reason of a hold."""

    AGENCY = "agency"
    URGENCY = "urgency"
    DEADLINE = "deadline"
    STATE = "state"
    ADDED = "added"
    DROPPED = "dropped"


@dataclass(frozen=True, slots=True)
class PastCase:
    case_id: UUID
    case_ref: str
    routed_at: datetime
    case: Case


@dataclass(frozen=True, slots=True)
class Example:
    """A referral that would differ; old, new: None where there is none."""

    case_id: UUID
    case_ref: str
    need_code: str
    changes: tuple[Change, ...]
    old: Routed | None
    new: Routed | None


@dataclass(slots=True)
class Comparison:
    """skipped: cases of a day for which the directory has no coordination cell."""

    old: World
    new: World
    cases: int = 0
    skipped: int = 0
    referrals: int = 0
    changed: int = 0
    counts: Counter[tuple[str, Change]] = field(default_factory=Counter)
    examples: list[Example] = field(default_factory=list)

    def add(self, past: PastCase) -> None:
        try:
            old, new = _routed(past, self.old), _routed(past, self.new)
        except NoCoordinationCell:
            self.skipped += 1
            return
        self.cases += 1
        may_show = not is_sensitive(past.case) and RESTRICTED_NEEDS.isdisjoint(old | new)
        for need_code in old | new:
            self.referrals += 1
            self._compare(past, need_code, old.get(need_code), new.get(need_code), may_show=may_show)

    def _compare(
        self, past: PastCase, need_code: str, old: Routed | None, new: Routed | None, *, may_show: bool
    ) -> None:
        changes = changes_of(old, new)
        if not changes:
            return
        self.changed += 1
        self.counts.update((masked(need_code), change) for change in changes)
        if may_show and len(self.examples) < MOST_EXAMPLES:
            self.examples.append(Example(past.case_id, past.case_ref, need_code, changes, old, new))

    def add_all(self, cases: Iterable[PastCase]) -> None:
        for past in cases:
            self.add(past)


def _routed(past: PastCase, world: World) -> dict[str, Routed]:
    return {each.need.code: each for each in route(past.case, past.routed_at, world)}


def changes_of(old: Routed | None, new: Routed | None) -> tuple[Change, ...]:
    """Another row that leads to the same is no change."""
    if old is None or new is None:
        return (Change.ADDED if old is None else Change.DROPPED,)
    differs = {
        Change.AGENCY: old.choice.chosen != new.choice.chosen,
        Change.URGENCY: old.urgency is not new.urgency,
        Change.DEADLINE: _deadlines(old) != _deadlines(new),
        Change.STATE: (old.state, old.hold_reason) != (new.state, new.hold_reason),
    }
    return tuple(change for change, does in differs.items() if does)


def _deadlines(routed: Routed) -> tuple[Any, ...]:
    return routed.ack_due, routed.contact_due, routed.hard_deadline


def compared(comparison: Comparison, referral_ids: dict[tuple[UUID, str], UUID]) -> dict[str, Any]:
    """As the operator reads it.  referral_ids: by case and need, of the referrals that exist."""
    by = [
        {"need_code": need_code, "change": change, "count": count}
        for (need_code, change), count in sorted(comparison.counts.items())
    ]
    return {
        "old": comparison.old.rules.version,
        "new": comparison.new.rules.version,
        "cases": comparison.cases,
        "skipped": comparison.skipped,
        "referrals": comparison.referrals,
        "changed": comparison.changed,
        "by": by,
        "examples": [
            _shown_example(each, referral_ids.get((each.case_id, each.need_code))) for each in comparison.examples
        ],
    }


def _shown_example(example: Example, referral_id: UUID | None) -> dict[str, Any]:
    return {
        "referral_id": str(referral_id) if referral_id else None,
        "case_ref": example.case_ref,
        "need_code": example.need_code,
        "changes": list(example.changes),
        "old": _shown_side(example.old),
        "new": _shown_side(example.new),
    }


def _shown_side(routed: Routed | None) -> dict[str, Any] | None:
    if routed is None:
        return None
    chosen = routed.choice.chosen
    return {
        "rule_id": routed.rule_id,
        "row": routed.row,
        "partner_id": chosen.partner_id if chosen else None,
        "urgency": routed.urgency,
        "state": routed.state,
        "hold_reason": routed.hold_reason,
        "ack_due": rfc3339(routed.ack_due),
        "contact_due": rfc3339(routed.contact_due),
        "hard_deadline": routed.hard_deadline.isoformat() if routed.hard_deadline else None,
    }
