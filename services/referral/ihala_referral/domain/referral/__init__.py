"""The life of one referral: one need on its way, through one or more agencies.

record         its fields, what can be read from them, its events
asking         the next agency: chosen, asked, its turn ended
agency_moves   what an agency answers
staff_moves    what the desk, protection and the operator decide
agency_changes what follows from the agency that holds it: it was stopped, it left
case_changes   what follows from the case: release, consent, withdrawal, correction, erasure
handovers      one agency hands the person over to another, and both confirm
clock_answers  what time does: timers, silence, a corrected calendar

Every change goes through a method of `Referral`, which returns the events it made or raises a refusal; nothing else
may set a field.  A repetition of the last move makes no event.  Time is a parameter, the world is a parameter.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from ihala_events import catalogue
from ihala_events.vocabulary import HoldReason, PersonMessage, ReferralState

from ihala_referral.domain.attempt import CaseFile, Happenings, Scene
from ihala_referral.domain.deadlines import DUPLICATE_HOLD
from ihala_referral.domain.explanation import explained_bypassed, explained_chain
from ihala_referral.domain.referral.agency_changes import AgencyChanges
from ihala_referral.domain.referral.agency_moves import AgencyMoves
from ihala_referral.domain.referral.case_changes import CaseChanges
from ihala_referral.domain.referral.clock_answers import ClockAnswers
from ihala_referral.domain.referral.record import SYSTEM
from ihala_referral.domain.referral.staff_moves import StaffMoves
from ihala_referral.domain.routing import Routed


class Referral(AgencyMoves, StaffMoves, AgencyChanges, CaseChanges, ClockAnswers):
    """How it begins; its moves are in the rooms it is made of."""

    __slots__ = ()

    @classmethod
    def propose(
        cls, referral_id: UUID, need_id: UUID, case: CaseFile, routed: Routed, received_at: datetime, scene: Scene
    ) -> tuple["Referral", Happenings]:
        """A referral as routing found it; without a hold it is sent at once."""
        referral = cls(
            referral_id=referral_id,
            case=case,
            need_id=need_id,
            need_code=routed.need.code,
            urgency=routed.urgency,
            state=ReferralState.PROPOSED,
            hold_reason=routed.hold_reason,
            rule_id=routed.rule_id,
            row=routed.row,
            rule_set_version=routed.rule_set_version,
            links=routed.links,
            mandate=routed.mandate,
            requires_confirmation=routed.requires_confirmation,
            other_staff_confirms=routed.other_staff_confirms,
            flags=tuple(routed.flags),
            explanation=_explanation(routed),
            received_at=received_at,
            ack_due=_ack_due(routed, received_at),
            contact_due=routed.contact_due,
            hard_deadline=routed.hard_deadline,
        )
        return referral, referral._begin(routed, scene)

    def _begin(self, routed: Routed, scene: Scene) -> Happenings:
        self.due_from = self._counts_from(scene.now)
        happened = [self._event(catalogue.PROPOSED, scene.now)]
        if routed.gap is not None:
            happened.append(self._event(catalogue.GAP_RECORDED, scene.now, reason=routed.gap))
        if routed.hold_reason is HoldReason.CONSENT:
            happened.append(self._event(catalogue.CONSENT_NEEDED, scene.now))
        if routed.state is ReferralState.PROPOSED or routed.choice.chosen is None:
            return happened
        if routed.state is ReferralState.OUT_OF_AREA:
            self.state = routed.state
            happened.append(self._event(catalogue.OUT_OF_AREA, scene.now, tell=PersonMessage.REDIRECTED))
        return happened + self._send(routed.choice.chosen, SYSTEM, scene, waitlisted=routed.choice.waitlisted)


def _ack_due(routed: Routed, received_at: datetime) -> datetime:
    """A human decides on a suspected duplicate within its own time, if the row's is not shorter."""
    held = routed.hold_reason is HoldReason.DUPLICATE
    return min(routed.ack_due, received_at + DUPLICATE_HOLD) if held else routed.ack_due


def _explanation(routed: Routed) -> dict[str, Any]:
    """What a referral keeps of why it went where it went."""
    return {
        "added_by": routed.need.added_by,
        "urgency_default": str(routed.urgency_default),
        "requires_confirmation": routed.requires_confirmation,
        "offers": list(routed.offers),
        "notify": routed.notify._asdict(),
        "partner_chain": explained_chain(routed.choice.candidates, routed.together),
        "passed_over": explained_bypassed(routed.bypassed),
    }
