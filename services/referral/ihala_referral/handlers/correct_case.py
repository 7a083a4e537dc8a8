"""The person's data were corrected: every agency that works with them reads them again."""

from ihala_events.intake import CaseCorrected

from ihala_referral.handlers.unit_of_work import UnitOfWork


def correct_case(corrected: CaseCorrected, work: UnitOfWork) -> None:
    for referral in work.referrals_of(corrected.case_id):
        happened = referral.request_correction(work.scene)
        if happened:
            work.record(referral, happened)
