"""Words for codes and fields in the person's language, as data: ``labels/subject_file.toml`` and the vocabulary."""

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from ihala_events.vocabulary import COMMUNES, NEEDS

FILE = Path(__file__).parent.parent / "labels" / "subject_file.toml"
POSITIONS = {"fr": 0, "ar": 1, "en": 2}


@cache
def label_file() -> dict[str, Any]:
    """{"text": {key: [fr, ar, en]}, "code": {set: {code: [fr, ar, en]}}}"""
    return tomllib.loads(FILE.read_text(encoding="utf-8"))


@dataclass(frozen=True, slots=True)
class Labels:
    """``language``: fr, ar or en."""

    language: str

    def text(self, key: str) -> str:
        word: str = label_file()["text"][key][POSITIONS[self.language]]
        return word

    def code(self, kind: str, code: str) -> str:
        """The code itself where the file has no word for it."""
        words = label_file()["code"].get(kind, {}).get(code)
        return code if words is None else str(words[POSITIONS[self.language]])

    def need(self, code: str) -> str:
        return str(getattr(NEEDS[code], self.language)) if code in NEEDS else code

    def commune(self, code: str) -> str:
        commune = COMMUNES[code]
        return commune.ar if self.language == "ar" else commune.fr

    def yes_or_no(self, answer: bool) -> str:
        return self.text("yes" if answer else "no")
