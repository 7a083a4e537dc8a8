"""A deadline, a reminder or a hold came due: the referral is asked what that means for it now."""

from ihala_referral.domain.attempt import Clock, Happenings
from ihala_referral.domain.referral import Referral
from ihala_referral.handlers.unit_of_work import UnitOfWork


def answer_clock(referral: Referral, clock: Clock, work: UnitOfWork) -> Happenings:
    """Records the referral even when nothing happened, so that its timers are set anew."""
    happened = referral.time_passed(clock, work.scene)
    work.record(referral, happened)
    return happened
