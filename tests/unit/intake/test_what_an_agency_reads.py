"""An agency reads the need it was asked for and no other: a school hears nothing of health (P07)."""

from datetime import UTC, datetime

import pytest
from ihala_events.intake import ConsentScope, IntakeRequest
from ihala_events.vocabulary import ConsentBasis, PartnerType
from ihala_intake.domain.disclosure import coordination_may_read, disclose
from ihala_runtime.identifiers import uuid7
from pydantic import TypeAdapter
from support.intakes import an_intake

NOW = datetime(2026, 11, 23, 9, tzinfo=UTC)
TWO_NEEDS = [
    {"need_code": "EDU-REI", "facts": {"out_of_school_months": 14}, "note": "préfère l'école du quartier"},
    {"need_code": "HEA-MAT", "facts": {"pregnancy_weeks": 30}, "note": "suivi commencé ailleurs"},
]


def test_a_school_s_payload_holds_no_health_or_social_field() -> None:
    body = an_intake(needs=TWO_NEEDS, vulnerabilities=["V-PRG"], country="SN", docs_seen=["DOC-PAS"])
    intake = TypeAdapter(IntakeRequest).validate_python(body, strict=False)

    read = disclose(intake, referral_id=uuid7(), case_ref="AG-7K3F-9QX2", need_code="EDU-REI", at=NOW)

    text = read.model_dump_json()
    assert read.note == "préfère l'école du quartier"
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
