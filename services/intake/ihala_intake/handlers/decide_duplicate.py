"""A human compared a held case with the ones it may repeat: distinct, or the same person. Nothing is merged."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal, Protocol, TypeVar

from ihala_events.catalogue import CASE_RELEASED
from ihala_events.intake import CaseRef, CaseReleased, StaffId
from ihala_events.wire import Request

from ihala_intake.handlers.case_work import CaseInHand


class DuplicateDecision(Request):
    """``other_case_ref`` null: all cases that this one was compared with, also those of other desks."""

    decision: Literal["distinct", "same_person"]
    other_case_ref: CaseRef | None = None
    staff: StaffId


class Comparison(Protocol):
    """A case that the held one may repeat. ``decision`` None: still open."""

    @property
    def case_ref(self) -> str: ...

    @property
    def decision(self) -> str | None: ...


C = TypeVar("C", bound=Comparison, contravariant=True)


class HeldCase(CaseInHand, Protocol[C]):
    async def decide(self, others: Sequence[C], decision: DuplicateDecision, actor: str, at: datetime) -> None:
        """Write the decision down."""
        ...

    async def release(self) -> None: ...


D = TypeVar("D", bound=Comparison)


async def decide_duplicate(
    case: HeldCase[D], compared: Sequence[D], decision: DuplicateDecision, actor: str, now: datetime
) -> bool:
    """True when the case is released by this: it is the same person, or distinct from all."""
    meant = [each for each in compared if decision.other_case_ref in (None, each.case_ref)]
    await case.decide(meant, decision, actor, now)
    await case.write_down(actor, "duplicate-decision", now)
    still_open = [each for each in compared if each.decision is None and each not in meant]
    if still_open and decision.decision == "distinct":
        return False
    await case.release()
    released = CaseReleased(case_id=case.case_id, case_ref=case.case_ref, decision=decision.decision)
    await case.record(CASE_RELEASED, released, now)
    return True
