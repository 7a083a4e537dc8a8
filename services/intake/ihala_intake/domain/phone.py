"""Telephone numbers as people write them, kept as E.164. Foreign numbers are welcome."""

import re

import phonenumbers
from ihala_events.partner import FieldRefusal

from ihala_intake.domain.errors import IntakeRefused

HOME_REGION = "MA"
HOME_COUNTRY_CODE = 212
_AS_KEPT = re.compile(r"\+212[5-8][0-9]{8}")
"""Of home and in E.164 already, as nearly all are: there is nothing to find out."""


def normalised_phone(written: str | None) -> str | None:
    """``0612345678``, ``00212…``, ``212…`` and ``+221…`` in E.164. Raises IntakeRefused for what is no number."""
    if written is None or _AS_KEPT.fullmatch(written):
        return written
    for candidate in (written, f"+{written}") if written[:1] not in "+0" else (written,):
        try:
            number = phonenumbers.parse(candidate, HOME_REGION)
        except phonenumbers.NumberParseException:
            continue
        if _is_possible(number):
            return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    raise IntakeRefused([FieldRefusal(pointer="/phone", code="invalid-phone", message="is not a telephone number")])


def _is_possible(number: phonenumbers.PhoneNumber) -> bool:
    """By its length; a number at home does not begin with a zero once its prefix is taken off."""
    if number.country_code == HOME_COUNTRY_CODE and number.italian_leading_zero:
        return False
    return bool(phonenumbers.is_possible_number_with_reason(number) == phonenumbers.ValidationResult.IS_POSSIBLE)
