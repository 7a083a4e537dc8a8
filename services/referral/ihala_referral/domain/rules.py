"""A rule set: rows that choose urgency and chain for a need, checked when it is loaded.

Owns what a rule file may say and which of several sets is in force.  Rules are data.  Whatever this module accepts
can be evaluated without failing: every code exists, every fact can be given for the need, no row is out of reach,
nothing adds itself.  Evaluate with the parsed objects only.
"""

import itertools
import math
import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum
from functools import lru_cache
from types import MappingProxyType
from typing import Any, NamedTuple, TypeVar

from ihala_events.intake import FACTS
from ihala_events.vocabulary import ADULT_AGE, NEEDS, PartnerType, Urgency

from ihala_referral.domain.conditions import (
    ALWAYS,
    BOOLEANS,
    CASE_NAMES,
    DERIVED_FROM,
    VULNERABILITIES,
    Circumstances,
    Condition,
    parse_condition,
    sample_values,
)
from ihala_referral.domain.errors import RuleSetError

T = TypeVar("T")

STEP = re.compile(r"(?P<type>PT-[A-Z-]+[A-Z])(?:\[(?P<serves>[A-Za-z-]+)\])?(?P<place>[=+]?)")
ROW_ID = re.compile(r"(?P<rule>R\d{2,})[a-z]?")
SUGGESTION = re.compile(r"(?P<need>\S+)(?: if (?P<when>.+))?")
ANY_NEED = "any"
FIRST_DAY, LAST_DAY = date(2000, 1, 1), date(2100, 12, 31)
VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]{0,39}")
MOST_COMBINATIONS = 100_000  # of circumstances that the rows of one need tell apart; the shipped take-overs have 32,000


class Keys(NamedTuple):
    """What an entry must and may hold."""

    needed: frozenset[str]
    allowed: frozenset[str]


ROW_KEYS = Keys(
    frozenset({"id", "needs", "urgency", "chain"}),
    frozenset({"when", "urgency_if_confirmed", "adds", "offers", "flags", "commune", "hard_date", "note"}),
)
TAKE_OVER_KEYS = Keys(frozenset({"id", "when", "chain"}), frozenset({"chain_if_restricted", "flags", "note"}))
ADDITION_KEYS = Keys(frozenset({"need", "when"}), frozenset({"of_each_need", "note"}))
RULE_SET_KEYS = Keys(frozenset({"version", "valid_from"}), frozenset({"status_rules", "best_interest_when_added"}))
FILE_KEYS = Keys(frozenset({"rule_set", "row"}), frozenset({"take_over", "addition"}))


class Flag(StrEnum):
    """wait: a full agency keeps a waiting list.  in_person: the agency meets the person, no call or message.
    info: printed information is handed over.  confirm: a human agrees first.  scope_order: the steps stand in the
    order of the consent scope.  far: agencies of other prefectures may be asked.  redirect: out of area.
    gap: nobody serves this need by rule."""

    WAIT = "wait"
    IN_PERSON = "in_person"
    INFO = "info"
    CONFIRM = "confirm"
    SCOPE_ORDER = "scope_order"
    FAR = "far"
    REDIRECT = "redirect"
    GAP = "gap"


class Step(NamedTuple):
    """serves: the need to look for instead, `any`, or None for the referral's own.
    named_commune: only where communes[] names the commune.  others: two others of this type."""

    partner_type: PartnerType
    serves: str | None = None
    named_commune: bool = False
    others: bool = False


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A need that a row adds or offers when its condition holds."""

    need_code: str
    when: Condition = ALWAYS


@dataclass(frozen=True, slots=True)
class Row:
    """commune: the fact that names the commune to look in.  hard_date: the fact whose month after is the last day."""

    row_id: str
    needs: tuple[str, ...]
    when: Condition
    urgency: Urgency
    urgency_if_confirmed: Urgency
    chain: tuple[Step, ...]
    adds: tuple[Suggestion, ...]
    offers: tuple[Suggestion, ...]
    flags: frozenset[Flag]
    commune: str | None
    hard_date: str | None

    @property
    def rule_id(self) -> str:
        return rule_of(self.row_id)

    @property
    def types(self) -> frozenset[PartnerType]:
        """The agency types of its chain."""
        return types_of(self.chain)

    def default_urgency(self, need_code: str) -> Urgency:
        return self.urgency_if_confirmed if NEEDS[need_code].confirm else self.urgency


@dataclass(frozen=True, slots=True)
class TakeOver:
    """Replaces rule and chain, nothing else."""

    row_id: str
    when: Condition
    chain: tuple[Step, ...]
    chain_if_restricted: tuple[Step, ...]
    flags: frozenset[Flag]

    @property
    def rule_id(self) -> str:
        return rule_of(self.row_id)


@dataclass(frozen=True, slots=True)
class Addition:
    """A need added by circumstances.  of_each_need: the condition is asked with the facts of every need."""

    need_code: str
    when: Condition
    of_each_need: bool


@dataclass(frozen=True, slots=True)
class RuleSet:
    version: str
    valid_from: date
    rows: tuple[Row, ...]
    rows_of: Mapping[str, tuple[Row, ...]]
    take_overs: tuple[TakeOver, ...]
    additions: tuple[Addition, ...]
    status_rules: frozenset[str]
    best_interest_when_added: frozenset[str]
    warnings: tuple[str, ...] = ()

    def row_for(self, need_code: str, given: Circumstances) -> Row:
        for row in self.rows_of[need_code]:
            if row.when.holds(given):
                return row
        raise AssertionError("every need ends in a row that always holds")

    def take_over_for(self, given: Circumstances) -> TakeOver | None:
        for row in self.take_overs:
            if row.when.holds(given):
                return row
        return None


@lru_cache(maxsize=1024)
def types_of(chain: tuple[Step, ...]) -> frozenset[PartnerType]:
    return frozenset(step.partner_type for step in chain)


@lru_cache(maxsize=512)
def rule_of(row_id: str) -> str:
    """The row id without its letter."""
    return row_id.rstrip("abcdefghijklmnopqrstuvwxyz")


def in_force(shipped: Iterable[RuleSet], today: date) -> RuleSet:
    """Of the sets that came with the service, the newest that is valid today; the oldest when none is yet."""
    by_age = sorted(shipped, key=lambda rules: (rules.valid_from, rules.version))
    return next((rules for rules in reversed(by_age) if rules.valid_from <= today), by_age[0])


def parse_rule_set(text: str) -> RuleSet:
    """Read and check a rule file (TOML).  Raises RuleSetError that names every wrong row."""
    try:
        raw = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, ValueError, RecursionError) as error:
        raise RuleSetError([f"file: not TOML: {error}"]) from None
    problems: list[str] = []
    rules = _assemble(raw, problems)
    if not problems:
        problems += _row_problems(rules)
    if problems:
        raise RuleSetError(problems)
    return replace(rules, warnings=tuple(_holes(rules.rows_of)))


def _assemble(raw: Mapping[str, Any], problems: list[str]) -> RuleSet:
    head = _one(raw, "file", lambda file: _checked(file, FILE_KEYS)["rule_set"], problems)
    rows = _each(raw, "row", _row, problems)
    rows_of = {code: tuple(row for row in rows if code in row.needs) for code in NEEDS}
    read = _one(head, "rule_set", _head, problems) or _Head("", date.min, frozenset(), frozenset())
    return RuleSet(
        version=read.version,
        valid_from=read.valid_from,
        rows=tuple(rows),
        rows_of=MappingProxyType(rows_of),
        take_overs=tuple(_each(raw, "take_over", _take_over, problems)),
        additions=tuple(_each(raw, "addition", _addition, problems)),
        status_rules=read.status_rules,
        best_interest_when_added=read.best_interest_when_added,
    )


def _each(raw: Mapping[str, Any], kind: str, read: Callable[[Any], T], problems: list[str]) -> list[T]:
    """Read every entry of this kind."""
    entries = raw.get(kind, [])
    if not isinstance(entries, list):
        problems.append(f"{kind}: is written [[{kind}]]")
        return []
    found = (_one(entry, f"{kind} {number}", read, problems) for number, entry in enumerate(entries, start=1))
    return [entry for entry in found if entry is not None]


def _one(raw: Any, place: str, read: Callable[[Any], T], problems: list[str]) -> T | None:
    """Read one entry; one that cannot be read becomes a sentence that names it."""
    named = isinstance(raw, dict) and (raw.get("id") or raw.get("need"))
    try:
        return read(raw)
    except ValueError as error:
        problems.append(f"{named if isinstance(named, str) else place}: {error}")
        return None


class _Head(NamedTuple):
    version: str
    valid_from: date
    status_rules: frozenset[str]
    best_interest_when_added: frozenset[str]


def _head(raw: Any) -> _Head:
    _checked(raw, RULE_SET_KEYS)
    if not VERSION.fullmatch(_text(raw, "version")):
        raise ValueError("'version' is up to 40 letters, digits, dots and hyphens")
    if type(raw["valid_from"]) is not date:  # a datetime is a date too, but no day
        raise ValueError("'valid_from' is a date, like 2026-11-01")
    if not FIRST_DAY <= raw["valid_from"] <= LAST_DAY:
        raise ValueError(f"'valid_from' lies in {FIRST_DAY.year} to {LAST_DAY.year}")
    return _Head(
        raw["version"],
        raw["valid_from"],
        frozenset(_rule_id(text) for text in _texts(raw, "status_rules")),
        frozenset(_need(code) for code in _texts(raw, "best_interest_when_added")),
    )


def _row(raw: Any) -> Row:
    _checked(raw, ROW_KEYS)
    urgency = _urgency(_text(raw, "urgency"))
    return Row(
        row_id=_row_id(_text(raw, "id")),
        needs=tuple(NEEDS) if raw["needs"] == "all" else _needs(raw),
        when=parse_condition(_text(raw, "when")),
        urgency=urgency,
        urgency_if_confirmed=_urgency(_text(raw, "urgency_if_confirmed") or urgency),
        chain=_chain(raw, "chain"),
        adds=tuple(_suggestion(text) for text in _texts(raw, "adds")),
        offers=tuple(_suggestion(text) for text in _texts(raw, "offers")),
        flags=_flags(raw),
        commune=_fact(_text(raw, "commune"), "birth_commune_code"),
        hard_date=_fact(_text(raw, "hard_date"), "birth_date"),
    )


def _take_over(raw: Any) -> TakeOver:
    _checked(raw, TAKE_OVER_KEYS)
    return TakeOver(
        row_id=_row_id(_text(raw, "id")),
        when=parse_condition(_text(raw, "when"), take_over=True),
        chain=_chain(raw, "chain"),
        chain_if_restricted=_chain(raw, "chain_if_restricted" if "chain_if_restricted" in raw else "chain"),
        flags=_flags(raw),
    )


def _addition(raw: Any) -> Addition:
    _checked(raw, ADDITION_KEYS)
    of_each_need = raw.get("of_each_need", False)
    if not isinstance(of_each_need, bool):
        raise ValueError("'of_each_need' is true or false")
    return Addition(_need(_text(raw, "need")), parse_condition(_text(raw, "when")), of_each_need)


def _checked(raw: Any, keys: Keys) -> Mapping[str, Any]:
    if not isinstance(raw, dict):
        raise ValueError("a table is expected")
    for key in sorted(keys.needed - raw.keys()):
        raise ValueError(f"'{key}' is missing")
    for key in sorted(raw.keys() - keys.needed - keys.allowed):
        raise ValueError(f"unknown key '{key}'")
    return raw


def _text(raw: Mapping[str, Any], key: str) -> str:
    """Empty where the key is left out."""
    value = raw.get(key, "")
    if not isinstance(value, str):
        raise ValueError(f"'{key}' is a text")
    return value


def _texts(raw: Mapping[str, Any], key: str) -> tuple[str, ...]:
    """Empty where the key is left out."""
    value = raw.get(key, [])
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise ValueError(f"'{key}' is a list of texts")
    return tuple(value)


def _needs(raw: Mapping[str, Any]) -> tuple[str, ...]:
    codes = tuple(_need(code) for code in _texts(raw, "needs"))
    if not codes or len(set(codes)) < len(codes):
        raise ValueError("'needs' names each need once, or is \"all\"")
    return codes


def _chain(raw: Mapping[str, Any], key: str) -> tuple[Step, ...]:
    steps = tuple(_step(text) for text in _texts(raw, key))
    if len(set(steps)) < len(steps):
        raise ValueError(f"'{key}' names a step twice")
    return steps


def _row_id(text: str) -> str:
    if not ROW_ID.fullmatch(text):
        raise ValueError("an id is R and two digits, then perhaps a letter")
    return text


def _rule_id(text: str) -> str:
    if ROW_ID.fullmatch(text) is None or rule_of(text) != text:
        raise ValueError("'status_rules' names rules: R and two digits")
    return text


def _urgency(text: str) -> Urgency:
    if text not in set(Urgency):
        raise ValueError(f"unknown urgency '{text}'")
    return Urgency(text)


def _need(code: str) -> str:
    if code not in NEEDS:
        raise ValueError(f"unknown need '{code}'")
    return code


def _flags(raw: Mapping[str, Any]) -> frozenset[Flag]:
    flags = _texts(raw, "flags")
    for flag in flags:
        if flag not in set(Flag):
            raise ValueError(f"unknown flag '{flag}'")
    return frozenset(Flag(flag) for flag in flags)


def _fact(name: str, only: str) -> str | None:
    if name not in ("", only):
        raise ValueError(f"only the fact '{only}' can stand here")
    return name or None


def _step(text: str) -> Step:
    match = STEP.fullmatch(text)
    if match is None or match["type"] not in set(PartnerType):
        raise ValueError(f"unknown step '{text}'")
    if match["type"] == PartnerType.COORD:
        raise ValueError("PT-COORD ends every chain and is not written")
    serves = match["serves"]
    if serves not in (None, ANY_NEED):
        _need(serves)
    return Step(PartnerType(match["type"]), serves, match["place"] == "=", match["place"] == "+")


def _suggestion(text: str) -> Suggestion:
    match = SUGGESTION.fullmatch(text)
    if match is None:
        raise ValueError(f"cannot read '{text}'")
    return Suggestion(_need(match["need"]), parse_condition(match["when"] or ""))


def _row_problems(rules: RuleSet) -> Iterator[str]:
    too_many = list(_too_many_combinations(rules))
    if too_many:
        yield from too_many
        return
    yield from _repeated_ids(rules)
    yield from _impossible_facts(rules)
    yield from _forbidden_status(rules)
    yield from _open_needs(rules)
    yield from _shadowed_rows(rules)
    yield from _shadowed_take_overs(rules)
    yield from _cycles("adds", _adds_graph(rules))
    yield from _cycles("stands in for", _substitution_graph(rules))


def _repeated_ids(rules: RuleSet) -> Iterator[str]:
    seen: set[str] = set()
    for row_id in [row.row_id for row in rules.rows] + [row.row_id for row in rules.take_overs]:
        if row_id in seen:
            yield f"{row_id}: this id stands twice"
        seen.add(row_id)


def _impossible_facts(rules: RuleSet) -> Iterator[str]:
    """A fact that the row's need can never hold.  Suggestions and additions read the same need's facts."""
    for row in rules.rows:
        read = {name for condition in _conditions(row) for name in condition.names()}
        read |= {fact for fact in (row.commune, row.hard_date) if fact}
        for code, name in itertools.product(row.needs, sorted(read - CASE_NAMES - VULNERABILITIES)):
            if DERIVED_FROM.get(name, name) not in FACTS[code]:
                yield f"{row.row_id}: {code} has no fact '{name}'"


def _conditions(row: Row) -> Iterator[Condition]:
    yield row.when
    yield from (suggestion.when for suggestion in (*row.adds, *row.offers))


def _forbidden_status(rules: RuleSet) -> Iterator[str]:
    for row in rules.rows:
        reads_status = any("status" in condition.names() for condition in _conditions(row))
        if reads_status and row.rule_id not in rules.status_rules:
            yield f"{row.row_id}: reads status, but {row.rule_id} is not among status_rules"
    for take_over in rules.take_overs:
        if "status" in take_over.when.names():
            yield f"{take_over.row_id}: a take-over never reads status"
    for addition in rules.additions:
        if "status" in addition.when.names():
            yield f"{addition.need_code}: an addition never reads status"


def _open_needs(rules: RuleSet) -> Iterator[str]:
    for code, rows in rules.rows_of.items():
        if not rows or rows[-1].when is not ALWAYS:
            yield f"{code}: no row without a condition ends its list"


def _shadowed_rows(rules: RuleSet) -> Iterator[str]:
    """Rows that no combination of circumstances reaches.  A catch-all for all needs may be out of reach."""
    for code, rows in rules.rows_of.items():
        for row_id in _never_reached([row for row in rows if len(row.needs) < len(NEEDS)]):
            yield f"{row_id}: never reached for {code}, the rows before it take every case"


def _shadowed_take_overs(rules: RuleSet) -> Iterator[str]:
    for row_id in _never_reached(rules.take_overs):
        yield f"{row_id}: never reached, the take-overs before it take every case"


def _never_reached(rows: Sequence[Row | TakeOver]) -> list[str]:
    waiting = [row.row_id for row in rows]
    for given in _combinations([row.when for row in rows]):
        reached = _first_holding(rows, given)
        if reached in waiting:
            waiting.remove(reached)
        if not waiting:
            break
    return waiting


def _holes(rows_of: Mapping[str, tuple[Row, ...]]) -> Iterator[str]:
    for code, rows in rows_of.items():
        own = [row for row in rows if len(row.needs) < len(NEEDS)]
        if not own:
            yield f"{code}: reaches only the catch-all"
        elif any(_first_holding(own, given) is None for given in _combinations([row.when for row in own])):
            yield f"{code}: some cases reach the catch-all"


def _first_holding(rows: Sequence[Row | TakeOver], given: Circumstances) -> str | None:
    return next((row.row_id for row in rows if row.when.holds(given)), None)


def _combinations(conditions: Sequence[Condition]) -> Iterator[Circumstances]:
    """Every combination of values that these conditions can tell apart."""
    names = sorted({name for condition in conditions for name in condition.names()})
    for values in itertools.product(*(sample_values(name, conditions) for name in names)):
        yield _circumstances(dict(zip(names, values, strict=True)))


def _too_many_combinations(rules: RuleSet) -> Iterator[str]:
    """Conditions that could not be checked in any reasonable time."""
    lists: dict[str, Sequence[Row | TakeOver]] = {**rules.rows_of, "take_over": rules.take_overs}
    for name, rows in lists.items():
        conditions = [row.when for row in rows]
        names = {each for condition in conditions for each in condition.names()}
        if math.prod(len(sample_values(each, conditions)) for each in names) > MOST_COMBINATIONS:
            yield f"{name}: its rows tell more than {MOST_COMBINATIONS} cases apart"


def _circumstances(values: Mapping[str, Any]) -> Circumstances:
    age = values.get("age", ADULT_AGE)
    return Circumstances(
        age=age,
        sex=values.get("sex") or "U",
        status=values.get("status") if age >= ADULT_AGE else None,
        basis=values.get("basis") or "CONSENT",
        vulnerabilities=frozenset(name for name in values if name in VULNERABILITIES and values[name]),
        facts={name: value for name, value in values.items() if _is_fact(name) and value is not None},
        urgency=values.get("urgency") or "U3",
        coverage=values.get("coverage") or "core",
        sector=values.get("sector") or "SOC",
        rule=values.get("rule") or "R99",
    )


def _is_fact(name: str) -> bool:
    return name in BOOLEANS or name not in CASE_NAMES | VULNERABILITIES


def _rows_and_needs(rules: RuleSet) -> Iterator[tuple[Row, str]]:
    return ((row, code) for row in rules.rows for code in row.needs)


def _adds_graph(rules: RuleSet) -> dict[str, dict[str, str]]:
    """need -> {added need: row that adds it}."""
    graph: dict[str, dict[str, str]] = {}
    for row, code in _rows_and_needs(rules):
        for suggestion in row.adds:
            graph.setdefault(code, {})[suggestion.need_code] = row.row_id
    return graph


def _substitution_graph(rules: RuleSet) -> dict[str, dict[str, str]]:
    """need -> {need looked for instead: row that says so}."""
    graph: dict[str, dict[str, str]] = {}
    for row, code in _rows_and_needs(rules):
        for step in row.chain:
            if step.serves not in (None, ANY_NEED):
                graph.setdefault(code, {})[str(step.serves)] = row.row_id
    return graph


def _cycles(relation: str, graph: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    """One sentence for each row that closes a cycle."""
    for code, targets in graph.items():
        for target, row_id in targets.items():
            if code in _reachable(target, graph):
                yield f"{row_id}: a cycle, {target} {relation} {code} and {code} {relation} {target}"


def _reachable(start: str, graph: Mapping[str, Mapping[str, str]]) -> set[str]:
    found, waiting = set(), [start]
    while waiting:
        code = waiting.pop()
        if code not in found:
            found.add(code)
            waiting += graph.get(code, {})
    return found
