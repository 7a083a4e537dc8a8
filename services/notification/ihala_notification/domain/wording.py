"""What a message to a person may say: that something waits, and a case reference (P18).

Rule: whoever reads over a shoulder learns nothing of need, sex, origin or agency, in any of the languages.  A text
that a word list or a limit refuses never gets as far as a running service.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product

from ihala_events.vocabulary import Need, PersonMessage

LANGUAGES = ("fr", "ar", "en")
CASE_REF = "{case_ref}"
LONGEST_CASE_REF = "AG-7K3F-9QX2"
GSM_SEGMENT, OTHER_SEGMENT = 160, 70
"""Characters of one SMS: of the GSM alphabet, and of any other."""
GSM = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§"
    "¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
SHORTEST_TELLING_WORD = 3

_LETTER_FORMS = str.maketrans({"ى": "ي", "ة": "ه", "ـ": None, "ٱ": "ا", "œ": "oe", "æ": "ae"})
_ARABIC_PREFIX = re.compile(r"^(?:[وف]?(?:[بك]?ال|لل|[بكل])|[وف])(?=.{2})")
_WORD = re.compile(r"[^\W\d_]+")


Messages = Mapping[PersonMessage, Mapping[str, str]]
"""A text for each kind and language."""


class WordingRefused(ValueError):
    """problems: where, and which rule; a banned word is named, since texts hold nothing of a person."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(self.problems))


@dataclass(frozen=True, slots=True)
class Banned:
    """words: normalised.  stems: whatever begins so."""

    words: frozenset[str]
    stems: tuple[str, ...]

    @classmethod
    def of(cls, listed: Iterable[str], needs: Iterable[Need], harmless: Iterable[str]) -> "Banned":
        """listed: with `*` behind a stem.  needs: every word of their names but the harmless ones."""
        named = {word for need in needs for name in (need.fr, need.ar, need.en) for word in words_of(name)}
        named -= {word for text in harmless for word in words_of(text)}
        whole = {normalised(word) for word in listed if not word.endswith("*")}
        stems = tuple(sorted(normalised(word[:-1]) for word in listed if word.endswith("*")))
        return cls(frozenset(whole | {word for word in named if len(word) >= SHORTEST_TELLING_WORD}), stems)

    def found_in(self, text: str) -> list[str]:
        return [word for word in words_of(text) if any(map(self._tells, self._readings(word)))]

    def _tells(self, reading: str) -> bool:
        return reading in self.words or reading.startswith(self.stems)

    @staticmethod
    def _readings(word: str) -> set[str]:
        """The word, and what it is without the particles that Arabic writes onto it."""
        readings, rest = {word}, word
        while (shorter := _ARABIC_PREFIX.sub("", rest, count=1)) != rest:
            readings.add(shorter)
            rest = shorter
        return readings


def normalised(text: str) -> str:
    """Lower case, without accents and vowel signs, one form for each Arabic letter."""
    decomposed = unicodedata.normalize("NFKD", text.casefold().translate(_LETTER_FORMS))
    return "".join(letter for letter in decomposed if not unicodedata.combining(letter))


def words_of(text: str) -> list[str]:
    return _WORD.findall(normalised(text))


def lint(messages: Messages, banned: Banned) -> list[str]:
    """One sentence for each thing that is wrong."""
    places = product(PersonMessage, LANGUAGES)
    return [problem for kind, language in places for problem in _problems(messages, kind, language, banned)]


def _problems(messages: Messages, kind: PersonMessage, language: str, banned: Banned) -> Iterator[str]:
    text = messages.get(kind, {}).get(language)
    where = f"{kind}.{language}"
    if text is None:
        yield f"{where}: is missing"
        return
    if text.count(CASE_REF) != 1 or "{" in text.replace(CASE_REF, ""):
        yield f"{where}: must hold {CASE_REF} once and nothing else of the case"
    if any(letter.isdigit() for letter in text):
        yield f"{where}: holds a digit"
    length, most = len(text.replace(CASE_REF, LONGEST_CASE_REF)), segment_of(text)
    if length > most:
        yield f"{where}: {length} characters, one segment holds {most}"
    yield from (f"{where}: says {word}" for word in banned.found_in(text.replace(CASE_REF, "")))


def segment_of(text: str) -> int:
    """How many characters one SMS holds of such a text."""
    return GSM_SEGMENT if GSM.issuperset(text.replace(CASE_REF, "")) else OTHER_SEGMENT
