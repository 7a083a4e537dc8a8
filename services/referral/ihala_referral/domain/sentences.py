"""Why a need went where it went, and why to nobody else, in sentences of each language.

Owns which reason is told by which sentence.  A referral keeps the reasons; the sentences are made when they are read,
so that a better translation reaches old referrals too.
"""

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from string import Formatter
from types import MappingProxyType
from typing import Any

from ihala_events.vocabulary import NEEDS, AttemptState, HoldReason, PartnerType, ReferralState

from ihala_referral.domain.choice import Why
from ihala_referral.domain.directory import PLACES_OF_PROGRAMMES, PassedOver
from ihala_referral.domain.errors import SentencesError
from ihala_referral.domain.routing import ReferralFlag

SEPARATORS: Mapping[str, str] = MappingProxyType({"fr": ", ", "ar": "، ", "en": ", "})
AGENCIES = frozenset({"agencies"})
OF_PROGRAMME = frozenset({"agencies", "programme"})
LEFT = frozenset({AttemptState.DECLINED, AttemptState.SILENT, AttemptState.RECALLED, AttemptState.HANDED_OVER})

WORDS: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "routed": frozenset({"need", "row", "urgency"}),
        "added": frozenset({"cause"}),
        "out_of_area": frozenset(),
        "nobody": frozenset(),
        "waitlisted": AGENCIES,
        "cell": AGENCIES,
        "cell_next": AGENCIES,
        "together": AGENCIES,
        "named": AGENCIES,
        "handover": AGENCIES,
        "programme": OF_PROGRAMME,
        "of_programme": OF_PROGRAMME,
        **{f"left.{state}": AGENCIES for state in LEFT},
        **{f"why.{why}": AGENCIES for why in Why},
        **{f"passed_over.{reason}": AGENCIES | {"count"} for reason in PassedOver},
        **{f"hold.{reason}": frozenset() for reason in HoldReason if reason is not HoldReason.CONSENT},
        **{f"flag.{flag}": frozenset() for flag in ReferralFlag},
    }
)
"""Every sentence there must be, with the words it may hold."""

Names = Mapping[str, Mapping[str, str]]
"""Of agencies, by id and language, and of initiatives, as `programme_name` says; what is gone reads as its id."""

Sentences = Mapping[str, Mapping[str, str]]
"""Templates by key and language."""


def parse_sentences(text: str) -> Sentences:
    """Raises SentencesError that names every entry that is missing or differs between languages."""
    try:
        entries = dict(_entries(tomllib.loads(text)))
    except tomllib.TOMLDecodeError as error:
        raise SentencesError([f"not TOML: {error}"]) from None
    problems = [f"{key}: is no sentence" for key in sorted(entries.keys() - WORDS.keys())]
    problems += [problem for key, words in WORDS.items() for problem in _problems(key, entries.get(key), words)]
    if problems:
        raise SentencesError(problems)
    return entries


def _entries(table: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Mapping[str, str]]]:
    for key, value in table.items():
        if isinstance(value, dict) and any(isinstance(each, dict) for each in value.values()):
            yield from _entries(value, f"{key}.")
        else:
            yield above + key, value


def _problems(key: str, texts: Any, words: frozenset[str]) -> Iterator[str]:
    for language in SEPARATORS:
        text = texts.get(language) if isinstance(texts, dict) else None
        if not isinstance(text, str) or not text.strip():
            yield f"{key}: has no '{language}'"
        elif _words_in(text) != words:
            yield f"{key}: the words of '{language}' are not {{{'}, {'.join(sorted(words))}}}"


def _words_in(text: str) -> frozenset[str] | None:
    """None where braces do not match."""
    try:
        return frozenset(name for _, name, _, _ in Formatter().parse(text) if name is not None)
    except ValueError:
        return None


@dataclass(frozen=True, slots=True)
class _Statement:
    """codes: of needs, read by their names.  more: there are agencies beyond those named.
    programme_id: of the initiative for which the agency stands here."""

    key: str
    agencies: tuple[str, ...] = ()
    programme_id: str | None = None
    more: bool = False
    values: Mapping[str, Any] = field(default_factory=dict)
    codes: Mapping[str, str] = field(default_factory=dict)


def programme_name(programme_id: str) -> str:
    """Where the names of an initiative stand among those of agencies, whose ids hold no colon."""
    return PLACES_OF_PROGRAMMES + programme_id


def names_told(shown: Mapping[str, Any]) -> set[str]:
    """Which names the sentences of this referral need."""
    statements = list(_statements(shown))
    programmes = {programme_name(each.programme_id) for each in statements if each.programme_id}
    return programmes | {partner_id for statement in statements for partner_id in statement.agencies}


def with_sentences(shown: dict[str, Any], names: Names, sentences: Sentences) -> dict[str, Any]:
    """The referral as shown, with its explanation also in words; as it is where it has none."""
    if not shown["explanation"]:
        return shown
    statements = list(_statements(shown))
    told = {language: [_said(each, language, names, sentences) for each in statements] for language in SEPARATORS}
    return {**shown, "explanation": {**shown["explanation"], "sentences": told}}


def _said(statement: _Statement, language: str, names: Names, sentences: Sentences) -> str:
    labels = {word: getattr(NEEDS[code], language) if code in NEEDS else code for word, code in statement.codes.items()}
    agencies = [names.get(partner_id, {}).get(language, partner_id) for partner_id in statement.agencies]
    told = SEPARATORS[language].join([*agencies, *(["…"] if statement.more else [])])
    if statement.programme_id is not None:
        name = names.get(programme_name(statement.programme_id), {}).get(language, statement.programme_id)
        labels["programme"] = name
        if statement.key != "programme":
            told = sentences["of_programme"][language].format(agencies=told, programme=name)
    return sentences[statement.key][language].format(agencies=told, **labels, **statement.values)


def _statements(shown: Mapping[str, Any]) -> Iterator[_Statement]:
    """shown: a referral as the API shows it, or as `explain` answers."""
    told = {**shown, **(shown["explanation"] or {})}
    if not told.get("partner_chain"):
        return
    yield _Statement(
        "routed", values={"row": told["row"], "urgency": told["urgency"]}, codes={"need": told["need_code"]}
    )
    if told["added_by"]:
        yield _Statement("added", codes={"cause": told["added_by"]})
    if told["state"] == ReferralState.OUT_OF_AREA:
        yield _Statement("out_of_area")
    if not any(each["chosen"] for each in told["partner_chain"]):
        yield _Statement("nobody")
    yield from _agencies(told)
    for group in told.get("passed_over", ()):
        ids = tuple(group["partner_ids"])
        yield _Statement(
            f"passed_over.{group['reason']}", ids, more=group["count"] > len(ids), values={"count": group["count"]}
        )
    if told["hold_reason"] and told["hold_reason"] != HoldReason.CONSENT:
        yield _Statement(f"hold.{told['hold_reason']}")
    yield from (_Statement(f"flag.{flag}") for flag in told["flags"])


def _agencies(told: Mapping[str, Any]) -> Iterator[_Statement]:
    """Those that were asked and left it, one that somebody named, then the chain as it was last tested."""
    last = {each["partner_id"]: each["state"] for each in told.get("attempts", ())}
    left = {partner_id: state for partner_id, state in last.items() if state in LEFT}
    yield from (_Statement(f"left.{state}", (partner_id,)) for partner_id, state in left.items())
    chosen = {each["partner_id"] for each in told["partner_chain"] if each["chosen"]}
    now = {told["partner_id"]} if told.get("partner_id") else set()
    named: set[str] = now - chosen - left.keys()
    yield from (_Statement("named", (partner_id,)) for partner_id in named)
    proposed = {partner_id for partner_id, state in last.items() if state == AttemptState.HANDOVER}
    yield from (_Statement("handover", (partner_id,)) for partner_id in proposed)
    for each in told["partner_chain"]:
        if each["partner_id"] not in left.keys() | named | proposed:
            yield _Statement(_key_of(each, told["state"]), (each["partner_id"],), each.get("programme_id"))


def _key_of(candidate: Mapping[str, Any], state: str) -> str:
    if candidate["partner_type"] == PartnerType.COORD:
        return "cell" if candidate["chosen"] else "cell_next"
    if candidate["chosen"] and (candidate["why"] == Why.FULL or state == ReferralState.WAITLISTED):
        return "waitlisted"
    if candidate["chosen"] and candidate.get("programme_id"):
        return "programme"
    if candidate["chosen"] and candidate.get("together"):
        return "together"
    return f"why.{candidate['why']}"
