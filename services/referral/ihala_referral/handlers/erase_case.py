"""The person is erased: open referrals end, and what is kept of the case tells nothing about them."""

from ihala_events.intake import SubjectErased

from ihala_referral.domain.referral.case_changes import ERASED
from ihala_referral.handlers.unit_of_work import UnitOfWork


def erase_case(erased: SubjectErased, work: UnitOfWork) -> None:
    for referral in work.referrals_of(erased.case_id):
        happened = referral.withdraw(ERASED, work.scene)
        referral.blank()
        work.record(referral, happened)
    work.erase_case(erased.case_id)
