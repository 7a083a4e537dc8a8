"""Invented intakes: one need, one referral; communes in turn, so that nine agencies share the load."""

import random
from datetime import UTC, datetime
from itertools import count
from typing import Any

from ihala_events.vocabulary import PartnerType

COMMUNES = [
    "AGD-AGADIR", "AGD-DRARGUA", "AGD-AOURIR", "INE-INEZGANE", "INE-AIT-MELLOUL", "INE-DCHEIRA", "INE-LQLIAA",
    "INE-TEMSIA", "INE-OULAD-DAHOU",
]  # fmt: skip
TEMPLATE: dict[str, Any] = {
    "desk_id": "baom-agadir",
    "age_band": "25-59",
    "languages": [{"tag": "fr", "level": "good"}],
    "needs": [{"need_code": "HEA-PHC"}],
    # telling the person goes its own way, ten a second, and is no part of what is measured
    "safe_contact": {"channel": "NONE"},
    "consent": {
        "text_version": "2026-11", "lang": "fr", "mode": "oral", "basis": "CONSENT",
        "scope": [{"need_code": "HEA-PHC", "partner_types": ["PT-ESSP"]}],
    },
    "staff": ["officer-1"],
}  # fmt: skip
BY_COMMUNE = tuple({"commune_code": code} for code in COMMUNES)
TEN_NEEDS = (
    "HEA-PHC", "HEA-CHR", "HEA-MED", "HEA-COV", "SOC-CAS", "SOC-FOO", "SOC-NFI", "SOC-EMP", "SOC-LEG", "SOC-CIV",
)  # fmt: skip
LARGE: dict[str, Any] = TEMPLATE | {
    "languages": [{"tag": tag, "level": "good"} for tag in ("fr", "en", "ar", "wo", "ff")],
    "needs": [{"need_code": code, "note": "comes in the morning " * 13} for code in TEN_NEEDS],
    "consent": TEMPLATE["consent"] | {
        "scope": [{"need_code": code, "partner_types": [kind.value for kind in PartnerType]} for code in TEN_NEEDS],
    },
}  # fmt: skip
"""As many needs as an intake may hold, a referral of each, with long notes and wide consents: 6 kB."""

_letters = random.SystemRandom()
_numbers = count()


def an_intake() -> dict[str, Any]:
    """A name of its own for each, in every run: the same one again would be held as a possible duplicate."""
    number = next(_numbers)
    name = "Load " + "".join(_letters.choices("bdfgklmnrstz", k=12)).title() + " Example"
    return TEMPLATE | {
        "received_at": datetime.now(UTC).isoformat(),
        "commune_code": COMMUNES[number % len(COMMUNES)],
        "phone": f"+2126000{number % 100_000:05d}",
        "names": [{"script": "Latn", "role": "full", "value": name}],
    }
