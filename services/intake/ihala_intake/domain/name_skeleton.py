"""Names as they sound: what stays of a name whatever spelling, alphabet or order it was written in.

``Mohamed``, ``Mohammed`` and ``محمد`` have one skeleton; so have ``Diallo``, ``Jallow`` and ``ديالو``. The skeleton
loses much on purpose: it finds candidates, a score weighs them, a human decides.
Source: domain table of spellings (names and duplicates), tried on ``benchmarks/duplicates.py``.
"""

import re
import unicodedata
from dataclasses import dataclass

SHORTEST = 2
MOST_TOKENS = 6

# The letters of Fula and Wolof that have no decomposition.
_LETTERS = str.maketrans(
    {"ŋ": "n", "ɓ": "b", "ɗ": "d", "ƴ": "y", "ɲ": "n", "ç": "s", "œ": "e", "æ": "e", "ʼ": "'", "’": "'"}
)
# Consonants by sound; long vowels stay vowels. و and ي are settled with their neighbours, as w and y are.
_ARABIC = str.maketrans(
    {
        "ا": "a", "أ": "a", "إ": "i", "آ": "a", "ٱ": "a", "ى": "a", "ة": "a", "ع": "a", "ء": "", "ئ": "i", "ؤ": "u",
        "ب": "b", "پ": "p", "ت": "t", "ث": "s", "ج": "j", "چ": "S", "ح": "h", "خ": "X", "د": "d", "ذ": "d", "ر": "r",
        "ز": "z", "س": "s", "ش": "S", "ص": "s", "ض": "d", "ط": "t", "ظ": "d", "غ": "g", "ف": "f", "ڤ": "f", "ق": "k",
        "ك": "k", "ک": "k", "گ": "g", "ڭ": "g", "ل": "l", "م": "m", "ن": "n", "ه": "h", "و": "w", "ي": "y", "ی": "y",
        "ـ": "",
    }
)  # fmt: skip
_ARABIC_LETTER = re.compile(r"[\u0600-\u06ff]")
# One pass: the longest spelling first. A c is an s before e, i and y; Arabic has no p.
_SPELLING = re.compile(r"t?[cs]h|kh|ph|v|gh|dj|[dt]h|ou|oo|ee|g[uw](?=[eiy])|qu|ck|q|c(?=[eiy])|c|x|p|ow$")
_SOUNDS = {
    "tch": "S", "tsh": "S", "ch": "S", "sh": "S", "kh": "X", "ph": "f", "v": "f", "gh": "g", "dj": "j", "dh": "d",
    "th": "t", "ou": "u", "oo": "u", "ee": "i", "gu": "g", "gw": "g", "qu": "k", "ck": "k", "q": "k", "x": "ks",
    "p": "b", "ow": "o",
}  # fmt: skip
_DOUBLED = re.compile(r"(.)\1+")
_NO_LETTER = re.compile(r"[\W_]+")
_SEPARATORS = re.compile(r"[\s\-.,]+")
_SOFT_D = re.compile(r"d[iy](?=[aeou])")
_GLIDE = re.compile(r"[uw](?=[aeiouy])")
_VOWELS = str.maketrans("", "", "aeiouyw")
_SPOKEN = str.maketrans({"o": "u", "e": "i", "y": "i", "w": "u", "W": "u"})

# Words that come and go with the writer: article, son of, daughter of.
_PARTICLES = frozenset(
    ["el", "al", "ben", "bin", "ibn", "bint", "ould", "ouled", "mint", "de", "la", "le", "ولد", "بن", "ابن", "بنت"]
)
# Half a name: what follows belongs to it.
_SERVANT = frozenset(["abd", "abdel", "abdul", "abdou", "abdoul", "عبد"])


@dataclass(frozen=True, slots=True)
class NameToken:
    """One word of a name. ``spelled``: with its vowels, None where the alphabet leaves them out."""

    skeleton: str
    spelled: str | None


def name_tokens(names: list[str]) -> list[NameToken]:
    """The words of a person's names, each sound once, a spelled one before one without vowels."""
    found: dict[str, NameToken] = {}
    for name in names:
        for word in _words(name):
            token = _token(word)
            if token.skeleton and (token.skeleton not in found or found[token.skeleton].spelled is None):
                found[token.skeleton] = token
    return list(found.values())[:MOST_TOKENS]


def _words(name: str) -> list[str]:
    words: list[str] = []
    half = ""
    for word in _SEPARATORS.split(_plain(name).replace("'", "")):
        if word in _SERVANT:
            half = "abd"
        elif word and word not in _PARTICLES:
            words.append(half + word if half else _without_article(word))
            half = ""
    return [*words, half] if half else words


def _plain(name: str) -> str:
    """Small letters without signs. Composed first, so that a letter with a sign of its own is one the tables know."""
    if name.isascii():
        return name.lower()
    composed = unicodedata.normalize("NFKC", name).casefold().translate(_LETTERS)
    return "".join(each for each in unicodedata.normalize("NFKD", composed) if not unicodedata.combining(each))


def _without_article(word: str) -> str:
    return word[2:] if word.startswith("ال") and len(word) > 4 else word


def _token(word: str) -> NameToken:
    if not word.isascii() and _ARABIC_LETTER.search(word):
        sounded = _sounded(word.translate(_ARABIC))
        return NameToken(_skeleton(sounded), None)
    sounded = _sounded(_SPELLING.sub(_sound, word))
    return NameToken(_skeleton(sounded), _DOUBLED.sub(r"\1", sounded.translate(_SPOKEN)))


def _sound(spelling: re.Match[str]) -> str:
    if spelling[0] == "c":
        return "s" if spelling.string[spelling.end() : spelling.end() + 1] in tuple("eiy") else "k"
    return _SOUNDS[spelling[0]]


def _sounded(word: str) -> str:
    """No doubled letter, a soft d as j, a gliding u or w as W, no h at the end."""
    letters = _DOUBLED.sub(r"\1", word if word.isalnum() else _NO_LETTER.sub("", word))
    sounded = _GLIDE.sub("W", _SOFT_D.sub("j", letters))
    return sounded[:-1] if len(sounded) > 1 and sounded.endswith("h") else sounded


def _skeleton(sounded: str) -> str:
    """The consonants; of a name that hardly has any, the vowels too."""
    bare = sounded.translate(_VOWELS)
    return bare if len(bare) >= SHORTEST else _DOUBLED.sub(r"\1", sounded.translate(_SPOKEN))
