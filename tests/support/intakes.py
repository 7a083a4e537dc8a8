"""Intakes for tests: synthetic, with only what matters changed."""

import secrets
from datetime import UTC, datetime, timedelta
from typing import Any

from support.names import an_invented_name

NAME = "Zéphyrine Canari-Example"
PHONE = "+212600000001"
NOTE = "préfère le matin, canari-note"


def a_person() -> dict[str, Any]:
    """Somebody of whom no other case tells; the telephone is of the range kept for tests."""
    return {"names": [an_invented_name()], "phone": f"+2126000{secrets.randbelow(100_000):05d}"}


def an_intake(**changes: Any) -> dict[str, Any]:
    """A woman of 27 who asks for maternal care in Agadir; ``changes`` replace whole fields."""
    received_at = (datetime.now(UTC) - timedelta(minutes=1)).isoformat()
    return {
        "desk_id": "baom-agadir",
        "received_at": received_at,
        "commune_code": "AGD-AGADIR",
        "age_band": "25-59",
        "birth_year": datetime.now(UTC).year - 27,
        "birth_precision": "EST",
        "sex": "F",
        "languages": [{"tag": "wo", "level": "native"}, {"tag": "fr", "level": "basic"}],
        "interpreter_needed": False,
        "needs": [{"need_code": "HEA-MAT", "facts": {"pregnancy_weeks": 30, "danger_sign": False}, "note": NOTE}],
        "vulnerabilities": ["V-PRG"],
        "names": [{"script": "Latn", "value": NAME, "role": "full"}],
        "phone": PHONE,
        "safe_contact": {"channel": "SMS", "language": "fr"},
        "consent": {
            "text_version": "2026-11",
            "lang": "fr",
            "mode": "oral",
            "basis": "CONSENT",
            "scope": [{"need_code": "HEA-MAT", "partner_types": ["PT-ESSP", "PT-NGO-WOM"]}],
        },
        "staff": ["officer-7"],
        **changes,
    }
