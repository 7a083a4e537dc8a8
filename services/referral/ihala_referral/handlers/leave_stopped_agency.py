"""An agency was stopped: each open referral that it holds is recalled and asked of the next."""

from ihala_referral.domain.attempt import Happenings
from ihala_referral.domain.referral import Referral
from ihala_referral.handlers.unit_of_work import UnitOfWork


def leave_stopped_agency(referral: Referral, work: UnitOfWork) -> Happenings:
    """Nothing where it has moved on meanwhile, or the agency was resumed."""
    happened = referral.leave_stopped_agency(work.scene)
    if happened:
        work.record(referral, happened)
    return happened
