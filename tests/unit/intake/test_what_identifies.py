"""Telephones, notes and references: what is taken, what is put right, what is refused."""

import json
import re

import pytest
from ihala_events.intake import CASE_REF_PATTERN, Name, NeedRequest
from ihala_intake.domain.case_ref import new_case_ref
from ihala_intake.domain.errors import IntakeRefused
from ihala_intake.domain.phone import normalised_phone
from pydantic import ValidationError


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("0612345678", "+212612345678"),
        ("00212612345678", "+212612345678"),
        ("212612345678", "+212612345678"),
        ("+212 6 12 34 56 78", "+212612345678"),
        ("0528000001", "+212528000001"),
        ("+221771234567", "+221771234567"),
        ("+212600000001", "+212600000001"),
        (None, None),
    ],
)
def test_a_number_is_kept_in_its_international_form(written: str | None, kept: str | None) -> None:
    assert normalised_phone(written) == kept


@pytest.mark.parametrize("written", ["12345678", "061234567", "+2126", "0", "+2126123456789", "+212012345678"])
def test_what_is_no_number_is_refused_without_repeating_it(written: str) -> None:
    with pytest.raises(IntakeRefused) as refused:
        normalised_phone(written)

    assert [error.pointer for error in refused.value.errors] == ["/phone"]
    assert written not in refused.value.errors[0].message


@pytest.mark.parametrize(
    "note",
    [
        "carte AB123456",
        "CIN J 12345",
        "passeport A1234567",
        "UNHCR 123-00045678",
        "dossier 123-17C00456",
        "élève J123456789",
        "IDCS 1234567890",
        "tel 06 12 34 56 78",
        "appeler +212612345678",
        "هاتف ٠٦١٢٣٤٥٦٧٨",
        "écrire à quelqu.un@example.org",
    ],
)
def test_a_note_that_could_identify_is_refused(note: str) -> None:
    with pytest.raises(ValidationError):
        NeedRequest.model_validate_json(f'{{"need_code": "HEA-PHC", "note": "{note}"}}')


@pytest.mark.parametrize(
    "note",
    [
        "préfère le matin",
        "3 enfants, 2 à 5 ans",
        "depuis le 2026-11-16",
        "rendez-vous à 14:30, salle 12",
        "يفضل الصباح",
        "ⵜⴰⵏⵎⵎⵉⵔⵜ 🙂",
        "né en 1999, arrivé 2021",
    ],
)
def test_an_ordinary_note_is_taken_as_it_is(note: str) -> None:
    assert NeedRequest.model_validate_json(f'{{"need_code": "HEA-PHC", "note": "{note}"}}').note == note


def test_case_references_can_be_read_out_and_differ() -> None:
    references = {new_case_ref("AG") for _ in range(1000)}

    assert len(references) == 1000
    for reference in references:
        assert re.fullmatch(CASE_REF_PATTERN, reference)
        assert not set(reference[3:]) & set("ILOU")


@pytest.mark.parametrize("value", ["", "  ", "\t", "\u00a0"])
def test_a_blank_name_is_no_name(value: str) -> None:
    with pytest.raises(ValidationError):
        Name.model_validate_json(json.dumps({"script": "Latn", "role": "full", "value": value}))
