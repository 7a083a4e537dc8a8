"""The subject file as a page: in the person's language, standing alone, every value escaped, every code in words."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum

import pytest
from ihala_events import vocabulary
from ihala_events.intake import FACTS, ConsentScope, IntakeRequest
from ihala_events.vocabulary import ConsentBasis, ConsentMode, PartnerType
from ihala_intake.domain.labels import Labels, label_file
from ihala_intake.domain.subject_file import HeldConsent, PastReading, Receiver, SubjectFile
from ihala_intake.domain.subject_page import as_page
from ihala_runtime.identifiers import uuid7
from pydantic import TypeAdapter
from support.intakes import an_intake

NOW = datetime(2026, 11, 23, 8, 30, tzinfo=UTC)


def a_file(**changes: object) -> SubjectFile:
    intake = TypeAdapter(IntakeRequest).validate_python(an_intake(**changes), strict=False)
    return SubjectFile(
        case_ref="AG-7K3F-9QX2",
        desk_id="baom-agadir",
        received_at=NOW,
        erased_at=None,
        intake=intake,
        consents=[
            HeldConsent(
                basis=ConsentBasis.CONSENT,
                mode=ConsentMode.ORAL,
                text_version="2026-11",
                scope=[ConsentScope(need_code="HEA-MAT", partner_types=[PartnerType.ESSP])],
                recorded_at=NOW,
                withdrawn_at=None,
                withdrawn_needs=[],
            )
        ],
        receivers=[Receiver(uuid7(), "HEA-MAT", "essp-one", "PT-ESSP")],
        readings=[PastReading(NOW, "partner:essp-one", "disclosure")],
        pseudonymise_after=timedelta(days=365),
        delete_after=timedelta(days=730),
        made_at=NOW,
    )


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("fr", ["Grossesse, accouchement, post-partum", "centre de santé", "consentement", "oralement", "Agadir"]),
        ("ar", ["تتبع الحمل والولادة", "مركز صحي", "موافقة", "شفويا", "أكادير"]),
        ("en", ["Maternal care", "health centre", "consent", "orally", "read by the agency"]),
    ],
)
def test_codes_read_as_words_of_the_language(language: str, words: list[str]) -> None:
    page = as_page(a_file(), Labels(language))

    assert [word for word in words if word not in page] == []
    assert "HEA-MAT" not in page


def test_an_arabic_page_runs_from_right_to_left() -> None:
    assert '<html lang="ar" dir="rtl">' in as_page(a_file(), Labels("ar"))
    assert '<html lang="fr" dir="ltr">' in as_page(a_file(), Labels("fr"))


def test_a_value_cannot_become_markup() -> None:
    names = [{"script": "Latn", "value": "<script>alert('x')</script>", "role": "full"}]

    page = as_page(a_file(names=names, staff=['"><img src=x>']), Labels("fr"))

    assert "<script" not in page
    assert "<img" not in page
    assert "&lt;script&gt;alert(&#x27;x&#x27;)&lt;/script&gt;" in page


def test_no_other_host_is_asked_for_anything() -> None:
    page = as_page(a_file(), Labels("fr"))

    assert re.findall(r"(?:src|href)\s*=|url\(|@import|https?:", page) == []
    assert "default-src &#x27;none&#x27;" in page or "default-src 'none'" in page


def test_an_erased_person_s_file_says_so() -> None:
    page = as_page(replace(a_file(), intake=None, erased_at=NOW, consents=[], receivers=[]), Labels("en"))

    assert "Your data were erased" in page
    assert "Nothing" in page


def test_every_word_stands_in_three_languages() -> None:
    words = dict(label_file()["text"])
    words |= {f"{kind}.{code}": row for kind, codes in label_file()["code"].items() for code, row in codes.items()}

    assert [key for key, row in words.items() if len(row) != 3 or not all(row)] == []


def test_every_code_and_fact_that_an_intake_may_hold_has_its_word() -> None:
    kinds = [
        "Sex", "BirthPrecision", "Urgency", "UrgencyReason", "LanguageLevel", "Channel", "ConsentBasis", "ConsentMode",
        "Relation", "CareWindow", "Vulnerability", "StatusCode", "DocType", "PartnerType",
    ]  # fmt: skip
    missing = []
    for kind in kinds:
        codes: type[StrEnum] = getattr(vocabulary, kind)
        missing += [f"{kind}.{code}" for code in codes if code not in label_file()["code"][kind]]
    missing += sorted({fact for facts in FACTS.values() for fact in facts} - label_file()["text"].keys())

    assert missing == []
