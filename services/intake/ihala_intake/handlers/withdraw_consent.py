"""A person takes the consent back, wholly or for some needs; everyone who was told hears of it by the event."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from ihala_events.catalogue import CONSENT_WITHDRAWN
from ihala_events.intake import ConsentWithdrawn, StaffId
from ihala_events.vocabulary import NeedCode
from ihala_events.wire import Request
from pydantic import Field

from ihala_intake.handlers.case_work import CaseInHand


class WithdrawConsent(Request):
    """``need_codes`` null: the whole consent."""

    need_codes: Annotated[list[NeedCode], Field(min_length=1)] | None = None
    staff: StaffId


async def withdraw_consent(case: CaseInHand, command: WithdrawConsent, consent_id: UUID, now: datetime) -> None:
    await case.withdraw_consent(consent_id, command.need_codes, now)
    withdrawn = ConsentWithdrawn(
        case_id=case.case_id,
        case_ref=case.case_ref,
        consent_id=consent_id,
        need_codes=command.need_codes,
        withdrawn_at=now,
    )
    await case.record(CONSENT_WITHDRAWN, withdrawn, now)
