"""A person gives a consent again, wider or narrower: it replaces the one before and may end a hold."""

from datetime import datetime
from uuid import UUID

from ihala_events.catalogue import CONSENT_RECORDED
from ihala_events.intake import ConsentRecorded, ConsentRequest
from ihala_runtime.identifiers import uuid7

from ihala_intake.domain.acceptance import profile_consent
from ihala_intake.handlers.case_work import CaseInHand


async def record_consent(case: CaseInHand, given: ConsentRequest, now: datetime) -> UUID:
    """The new consent's id."""
    consent_id = uuid7()
    await case.replace_consent(consent_id, given, now)
    recorded = ConsentRecorded(case_id=case.case_id, case_ref=case.case_ref, consent=profile_consent(consent_id, given))
    await case.record(CONSENT_RECORDED, recorded, now)
    return consent_id
