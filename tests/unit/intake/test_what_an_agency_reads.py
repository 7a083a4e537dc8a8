"""An agency reads the need it was asked for and no other: a school hears nothing of health (P07)."""

from datetime import UTC, date, datetime

import pytest
from ihala_events.directory import Agreement, DisclosureField
from ihala_events.intake import ConsentScope, IntakeRequest
from ihala_events.vocabulary import ConsentBasis, PartnerType
from ihala_intake.domain.disclosure import agreed_fields, coordination_may_read, disclose
from ihala_runtime.identifiers import uuid7
from pydantic import TypeAdapter
from support.intakes import NAME, PHONE, an_intake

NOW = datetime(2026, 11, 23, 9, tzinfo=UTC)
TWO_NEEDS = [
    {"need_code": "EDU-REI", "facts": {"out_of_school_months": 14}, "note": "préfère l'école du quartier"},
    {"need_code": "HEA-MAT", "facts": {"pregnancy_weeks": 30}, "note": "suivi commencé ailleurs"},
]


def test_a_school_s_payload_holds_no_health_or_social_field() -> None:
    body = an_intake(needs=TWO_NEEDS, vulnerabilities=["V-PRG"], country="SN", docs_seen=["DOC-PAS"])
    intake = TypeAdapter(IntakeRequest).validate_python(body, strict=False)

    read = disclose(
        intake, frozenset(DisclosureField), referral_id=uuid7(), case_ref="AG-7K3F-9QX2", need_code="EDU-REI", at=NOW
    )

    text = read.model_dump_json()
    assert read.note == "préfère l'école du quartier"
    assert read.facts is not None
    assert read.facts.out_of_school_months == 14
    hidden = (
        "HEA-MAT",
        "pregnancy",
        "birth_commune",
        "suivi",
        "V-PRG",
        '"SN"',
        "DOC-PAS",
        "officer-7",
        "consent",
        "household",
        "status",
    )
    assert [word for word in hidden if word in text] == []


@pytest.mark.parametrize("basis", [ConsentBasis.BEST_INTEREST, ConsentBasis.VITAL_INTEREST])
def test_the_coordination_cell_reads_nobody_who_could_not_consent(basis: ConsentBasis) -> None:
    named = [ConsentScope(need_code="HEA-MAT", partner_types=[PartnerType.COORD])]

    assert not coordination_may_read(basis, named, "coord")
    assert coordination_may_read(ConsentBasis.CONSENT, named, "coord")
    assert not coordination_may_read(ConsentBasis.CONSENT, [], "coord")


def an_agreement(*purposes: str, fields: str, since: str = "2026-01-01", until: str | None = None) -> Agreement:
    named = {"purposes": list(purposes), "fields": fields.split(), "since": since, "until": until}
    return Agreement.model_validate({"agreement_id": "one", **named}, strict=False)


def test_what_the_agreement_does_not_name_is_withheld() -> None:
    intake = TypeAdapter(IntakeRequest).validate_python(an_intake(needs=TWO_NEEDS), strict=False)
    fields = {DisclosureField.NAMES, DisclosureField.PHONE, DisclosureField.AGE_BAND}

    read = disclose(intake, fields, referral_id=uuid7(), case_ref="AG-7K3F-9QX2", need_code="EDU-REI", at=NOW)

    told = read.model_dump(mode="json")
    assert (told["names"][0]["value"], told["phone"], told["age_band"]) == (NAME, PHONE, "25-59")
    hidden = (
        "safe_contact",
        "languages",
        "interpreter_needed",
        "birth_year",
        "birth_precision",
        "sex",
        "facts",
        "note",
    )
    assert {name: told[name] for name in hidden} == dict.fromkeys(hidden)
    assert set(told["withheld"]) == set(hidden) - {"birth_precision"}
    assert told["need_code"] == "EDU-REI"


@pytest.mark.parametrize(
    ("need_code", "day", "fields"),
    [
        ("HEA-MAT", "2026-11-23", "names phone"),
        ("EDU-ENR", "2026-11-23", "names age_band"),
        ("SOC-CPU", "2026-11-23", "names"),  # none is about it: what all of them allow
        ("EDU-ENR", "2027-01-01", "names phone"),  # the school's has ended
        ("HEA-MAT", "2025-12-31", None),
    ],
)
def test_the_agreement_in_force_about_the_need_decides(need_code: str, day: str, fields: str | None) -> None:
    agreements = [
        an_agreement("HEA", fields="names phone"),
        an_agreement("EDU-ENR", fields="names age_band", until="2026-12-31"),
    ]

    allowed = agreed_fields(agreements, need_code, date.fromisoformat(day))

    assert allowed == (None if fields is None else set(fields.split()))
