"""A place became free at an agency that keeps a waiting list: the head of the list gets it for three working days."""

from ihala_referral.domain.attempt import Happenings
from ihala_referral.domain.referral import Referral
from ihala_referral.handlers.unit_of_work import UnitOfWork


def offer_freed_place(referral: Referral, work: UnitOfWork) -> Happenings:
    """Nothing when the place is gone meanwhile."""
    happened = referral.offer_freed_place(work.scene)
    if happened:
        work.record(referral, happened)
    return happened
