"""Invented names that sound like no other one's, so that a case is nobody's duplicate by accident."""

import secrets
from typing import Any

CONSONANTS = "bdfgjklmnrstz"
VOWELS = "aiu"


def an_invented_word(syllables: int = 5) -> str:
    return "".join(secrets.choice(CONSONANTS) + secrets.choice(VOWELS) for _ in range(syllables)).capitalize()


def an_invented_name() -> dict[str, Any]:
    return {"script": "Latn", "value": f"{an_invented_word()} {an_invented_word()}", "role": "full"}
