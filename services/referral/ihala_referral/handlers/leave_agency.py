"""An agency was stopped, or its time is over: open referrals that it holds are recalled and asked of the next."""

from ihala_referral.domain.attempt import Happenings
from ihala_referral.domain.referral import Referral
from ihala_referral.handlers.unit_of_work import UnitOfWork


def leave_agency(referral: Referral, work: UnitOfWork) -> Happenings:
    """Nothing where it has moved on meanwhile, or the agency is back."""
    happened = referral.leave_agency(work.scene)
    if happened:
        work.record(referral, happened)
    return happened
