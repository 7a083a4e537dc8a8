"""The person's data were corrected: later choices and messages follow, and every agency reads them again."""

from ihala_events.intake import CaseCorrected

from ihala_referral.handlers.unit_of_work import UnitOfWork


def correct_case(corrected: CaseCorrected, work: UnitOfWork) -> None:
    work.correct_languages(corrected.case_id, corrected.language_tags, corrected.interpreter_needed)
    for referral in work.referrals_of(corrected.case_id):
        happened = referral.request_correction(corrected.contact_channel, corrected.phone_shared, work.scene)
        work.record(referral, happened)
