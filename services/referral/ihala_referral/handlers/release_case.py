"""A human decided on a suspected duplicate: another person's case goes on, the same person's is withdrawn."""

from ihala_events.intake import CaseReleased
from ihala_events.vocabulary import HoldReason

from ihala_referral.domain.referral.case_changes import SAME_PERSON
from ihala_referral.handlers.unit_of_work import UnitOfWork


def release_case(released: CaseReleased, work: UnitOfWork) -> None:
    for referral in work.referrals_of(released.case_id):
        if referral.hold_reason is not HoldReason.DUPLICATE:
            continue
        same = released.decision == "same_person"
        happened = referral.withdraw(SAME_PERSON, work.scene) if same else referral.release(work.scene)
        work.record(referral, happened)
