"""The person took the consent back: agencies are recalled and asked to delete what they read.

No other rules are tried on the case from then on, even if a part of the consent stays.
"""

from ihala_events.intake import ConsentWithdrawn

from ihala_referral.domain.referral import Referral
from ihala_referral.domain.referral.case_changes import CONSENT_WITHDRAWN
from ihala_referral.handlers.unit_of_work import UnitOfWork


def withdraw_consent(withdrawn: ConsentWithdrawn, work: UnitOfWork) -> None:
    codes = None if withdrawn.need_codes is None else frozenset(withdrawn.need_codes)
    work.forget_profile(withdrawn.case_id)
    for referral in work.referrals_of(withdrawn.case_id):
        if codes is None or rests_on(referral, codes):
            happened = referral.withdraw(CONSENT_WITHDRAWN, work.scene)
            if happened:
                work.record(referral, happened)


def rests_on(referral: Referral, need_codes: frozenset[str]) -> bool:
    """A need that was added by a withdrawn one goes with it."""
    return referral.need_code in need_codes or not need_codes.isdisjoint(referral.mandate.scope_needs)
