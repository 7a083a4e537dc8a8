"""A correction of what was recorded of a person: the changed fields alone, each checked as in an intake."""

import json
from typing import Annotated, Any, Self
from uuid import UUID

from ihala_events.intake import CaseCorrected, IntakeRequest, Name, SafeContact, SpokenLanguage
from ihala_events.vocabulary import BirthPrecision
from ihala_events.wire import Request
from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from ihala_intake.domain.phone import normalised_phone


class Correction(Request):
    """A field that is absent stays; null takes it away, where an intake may be without it."""

    names: Annotated[list[Name], Field(max_length=4)] | None = None
    phone: Annotated[str, Field(max_length=40)] | None = None
    safe_contact: SafeContact | None = None
    languages: Annotated[list[SpokenLanguage], Field(max_length=5)] | None = None
    interpreter_needed: bool | None = None
    birth_year: int | None = None
    birth_precision: BirthPrecision | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.model_fields_set:
            raise PydanticCustomError("nothing-to-correct", "names no field")
        return self


def corrected(intake: IntakeRequest, correction: Correction) -> IntakeRequest:
    """The intake as it should have been. Raises ValidationError or IntakeRefused, with pointers into the correction."""
    kept = intake.model_dump(mode="json", exclude_none=True)
    changes = correction.model_dump(mode="json", exclude_unset=True)
    intake = IntakeRequest.model_validate_json(json.dumps({**kept, **changes}))
    return intake.model_copy(update={"phone": normalised_phone(intake.phone)})


def told_of(case_id: UUID, case_ref: str, after: IntakeRequest, fields: list[str]) -> CaseCorrected:
    """What other services hear: which fields changed, and of those that routing knew, how they read now."""
    told: dict[str, Any] = {}
    if "languages" in fields:
        told["language_tags"] = [language.tag for language in after.languages]
    if "interpreter_needed" in fields:
        told["interpreter_needed"] = bool(after.interpreter_needed)
    if "safe_contact" in fields:
        told["contact_channel"] = after.safe_contact.channel
        told["phone_shared"] = bool(after.safe_contact.phone_shared)
    return CaseCorrected(case_id=case_id, case_ref=case_ref, fields=fields, **told)


def changed_fields(before: IntakeRequest, after: IntakeRequest, correction: Correction) -> list[str]:
    """Names of fields that now read otherwise, sorted."""
    return sorted(name for name in correction.model_fields_set if getattr(before, name) != getattr(after, name))
