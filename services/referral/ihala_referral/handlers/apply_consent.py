"""The person gave a new consent: what waited for it goes on."""

from ihala_events.intake import ConsentRecorded

from ihala_referral.domain.case import consent_of
from ihala_referral.handlers.unit_of_work import UnitOfWork


def apply_consent(recorded: ConsentRecorded, work: UnitOfWork) -> None:
    work.replace_consent(recorded.case_id, consent_of(recorded.consent))
    for referral in work.referrals_of(recorded.case_id):
        happened = referral.consent_recorded(work.scene)
        if happened:
            work.record(referral, happened)
