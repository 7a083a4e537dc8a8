"""Whether two cases may be of one person. The score only ever holds a case for a human; nothing is merged alone.

Rule: names, telephone and their skeletons never leave this module but as keyed hashes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations

from ihala_events.intake import IntakeRequest
from ihala_events.vocabulary import Sex

from ihala_intake.domain.name_skeleton import NameToken, name_tokens

Keyed = Callable[[bytes], int]
"""A keyed hash of 64 bits, signed."""

YEARS_APART = 2
HOLD_FROM = 7
"""Points. Two words of the name alike (4) and the birth year (3) are enough; a shared telephone (3) is not."""
# Two telephones that differ weigh 2: with 1, one in five of 3,000 different people was held for a namesake of the
# same year, with 2 one in 150; what is lost is the person who gives another number (benchmarks/results/duplicates.md).

SAME_WORD, SIMILAR_WORD, ANOTHER_WORD = 2, 1, -1
SAME_PHONE, ANOTHER_PHONE = 3, -2
SAME_SEX = 1
BY_YEARS_APART = {0: 3, 1: 2, 2: 1}
MOST_FOR_NAMES = 5
TELLING_WORDS = 3
"""From so many words on each side, words that differ speak against one person."""


@dataclass(frozen=True, slots=True)
class PersonKeys:
    """What is kept to find a person again: keyed hashes, the years of birth that are possible, sex.

    ``blocks``: cases that share one are compared.  ``spelled``: beside ``tokens``, one each; 0 where the alphabet
    leaves vowels out.
    """

    blocks: tuple[int, ...]
    tokens: tuple[int, ...]
    spelled: tuple[int, ...]
    phone: int | None
    born_from: int
    born_to: int
    sex: Sex


def person_keys(intake: IntakeRequest, phone: str | None, keyed: Keyed) -> PersonKeys | None:
    """None for a person of whom neither name nor telephone is known: nobody can be told apart by the rest."""
    words = name_tokens([name.value for name in intake.names or []])
    if not words and phone is None:
        return None
    phone_hash = None if phone is None else keyed(b"phone\0" + phone.encode())
    born_from, born_to = _born(intake)
    return PersonKeys(
        blocks=_blocks(words if born_from == born_to else (), phone_hash, keyed),
        tokens=tuple(keyed(b"sound\0" + word.skeleton.encode()) for word in words),
        spelled=tuple(0 if word.spelled is None else keyed(b"spelled\0" + word.spelled.encode()) for word in words),
        phone=phone_hash,
        born_from=born_from,
        born_to=born_to,
        sex=intake.sex or Sex.UNKNOWN,
    )


def _born(intake: IntakeRequest) -> tuple[int, int]:
    if intake.birth_year is not None:
        return intake.birth_year, intake.birth_year
    year = intake.received_at.year
    return year - intake.age_band.last_year - 1, year - intake.age_band.first_year


def _blocks(words: Sequence[NameToken], phone: int | None, keyed: Keyed) -> tuple[int, ...]:
    """Each two words of the name, in whatever order; a single word; the telephone.

    Without a year of birth a name alone cannot reach the score: then the telephone is the only block.
    """
    sounds = sorted({word.skeleton for word in words})
    groups = ["\0".join(pair) for pair in combinations(sounds, 2)] or sounds
    blocks = {keyed(b"block\0" + group.encode()) for group in groups}
    return tuple(blocks if phone is None else blocks | {phone})


def suspicion(mine: PersonKeys, other: PersonKeys) -> int:
    """Points for one person; 0 where it cannot be."""
    if Sex.UNKNOWN not in (mine.sex, other.sex) and mine.sex is not other.sex:
        return 0
    if mine.born_from > other.born_to + YEARS_APART or other.born_from > mine.born_to + YEARS_APART:
        return 0
    names = _names_alike(mine, other)
    if names <= 0 and mine.tokens and other.tokens:
        return 0  # a shared handset alone
    return names + _phones_alike(mine, other) + _years_alike(mine, other) + _sex_alike(mine, other)


def is_suspect(mine: PersonKeys, other: PersonKeys) -> bool:
    return suspicion(mine, other) >= HOLD_FROM


def _names_alike(mine: PersonKeys, other: PersonKeys) -> int:
    theirs = dict(zip(other.tokens, other.spelled, strict=True))
    ours = dict(zip(mine.tokens, mine.spelled, strict=True))
    shared = ours.keys() & theirs.keys()
    points = sum(_word_alike(ours[token], theirs[token]) for token in shared)
    if min(len(ours), len(theirs)) >= TELLING_WORDS:
        points += ANOTHER_WORD * (min(len(ours), len(theirs)) - len(shared))
    return min(points, MOST_FOR_NAMES)


def _word_alike(ours: int, theirs: int) -> int:
    """Without vowels on one side, the sound is all that can agree."""
    return SAME_WORD if ours == theirs or 0 in (ours, theirs) else SIMILAR_WORD


def _phones_alike(mine: PersonKeys, other: PersonKeys) -> int:
    if mine.phone is None or other.phone is None:
        return 0
    return SAME_PHONE if mine.phone == other.phone else ANOTHER_PHONE


def _years_alike(mine: PersonKeys, other: PersonKeys) -> int:
    if mine.born_from != mine.born_to or other.born_from != other.born_to:
        return 0
    return BY_YEARS_APART.get(abs(mine.born_from - other.born_from), 0)


def _sex_alike(mine: PersonKeys, other: PersonKeys) -> int:
    return SAME_SEX if mine.sex is other.sex and mine.sex is not Sex.UNKNOWN else 0
