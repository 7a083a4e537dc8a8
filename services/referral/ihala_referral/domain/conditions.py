"""The language of a rule's `when`: small, closed, and readable by whoever deploys the rules.

    age >= 6 and age < 16                     comparisons: = != < <= > >=
    status in ST-REG, ST-REF                  membership: in, not in
    danger_sign                               a boolean fact that is true, a vulnerability of the person
    danger_to_life not false                  true or missing
    woman_alone_or_with_children missing      no value given
    not V-SEP, (…), and, or                   `and` binds tighter than `or`

An empty condition always holds.  A comparison with a missing value is false.  Names, codes and types are checked
when the text is read, so evaluating never fails.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from types import MappingProxyType
from typing import NamedTuple, Protocol

from ihala_events.vocabulary import (
    AgeBand,
    CareWindow,
    ConsentBasis,
    Coverage,
    Sex,
    StatusCode,
    Urgency,
    Vulnerability,
)

FactValue = bool | int | str


class ConditionError(ValueError):
    """The condition's text cannot be read; the message names the word."""


class Circumstances(NamedTuple):
    """Everything a condition may read.  age: first year of the band.  status: None for a minor (P21)."""

    age: int
    sex: str
    status: str | None
    basis: str
    vulnerabilities: frozenset[str]
    facts: Mapping[str, FactValue] = MappingProxyType({})
    urgency: str | None = None
    coverage: str | None = None
    sector: str | None = None
    rule: str | None = None


CASE_NAMES = frozenset({"age", "sex", "status", "basis", "urgency", "coverage", "sector", "rule"})
OF_CASE: Mapping[str, Callable[[Circumstances], FactValue | None]] = {name: attrgetter(name) for name in CASE_NAMES}
TAKE_OVER_NAMES = frozenset({"urgency", "coverage", "sector", "rule"})
NUMBERS = frozenset({"age", "birth_days", "pregnancy_weeks", "out_of_school_months"})
BOOLEANS = frozenset(
    {
        "danger_to_life",
        "danger_sign",
        "treatment_interrupted",
        "self_harm_risk",
        "woman_alone_or_with_children",
        "infant_in_household",
        "eviction_tonight",
    }
)
CODES: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "sex": frozenset(Sex),
        "status": frozenset(StatusCode),
        "basis": frozenset(ConsentBasis),
        "urgency": frozenset(Urgency),
        "coverage": frozenset(Coverage),
        "sector": frozenset({"HEA", "EDU", "SOC"}),
        "care_window": frozenset(CareWindow) - {CareWindow.UNKNOWN},  # unknown is missing
    }
)
VULNERABILITIES = frozenset(Vulnerability)
DERIVED_FROM = MappingProxyType({"birth_days": "birth_date"})
RULE_ID = re.compile(r"R\d{2,}")


class Condition(Protocol):
    """A part of a condition.  names: what it reads."""

    def holds(self, given: Circumstances) -> bool: ...

    def names(self) -> Iterator[str]: ...

    def compared(self, name: str) -> Iterator[FactValue]: ...


@dataclass(frozen=True, slots=True)
class Always:
    def holds(self, given: Circumstances) -> bool:  # noqa: ARG002 - the protocol's signature
        return True

    def names(self) -> Iterator[str]:
        return iter(())

    def compared(self, name: str) -> Iterator[FactValue]:  # noqa: ARG002 - the protocol's signature
        return iter(())


@dataclass(frozen=True, slots=True)
class All:
    parts: tuple[Condition, ...]

    def holds(self, given: Circumstances) -> bool:
        for part in self.parts:  # noqa: SIM110 (a loop: this is asked of every row of every need)
            if not part.holds(given):
                return False
        return True

    def names(self) -> Iterator[str]:
        return (name for part in self.parts for name in part.names())

    def compared(self, name: str) -> Iterator[FactValue]:
        return (value for part in self.parts for value in part.compared(name))


@dataclass(frozen=True, slots=True)
class AnyOf:
    parts: tuple[Condition, ...]

    def holds(self, given: Circumstances) -> bool:
        for part in self.parts:  # noqa: SIM110
            if part.holds(given):
                return True
        return False

    def names(self) -> Iterator[str]:
        return (name for part in self.parts for name in part.names())

    def compared(self, name: str) -> Iterator[FactValue]:
        return (value for part in self.parts for value in part.compared(name))


@dataclass(frozen=True, slots=True)
class Not:
    part: Condition

    def holds(self, given: Circumstances) -> bool:
        return not self.part.holds(given)

    def names(self) -> Iterator[str]:
        return self.part.names()

    def compared(self, name: str) -> Iterator[FactValue]:
        return self.part.compared(name)


@dataclass(frozen=True, slots=True)
class Question:
    """One question about one name.  Asked of every row of every need, so it is one call: make it by `question`."""

    name: str
    holds: Callable[[Circumstances], bool]
    values: tuple[FactValue, ...] = ()

    def names(self) -> Iterator[str]:
        yield self.name

    def compared(self, name: str) -> Iterator[FactValue]:
        return iter(self.values if name == self.name else ())


def question(name: str, reads: Callable[[FactValue | None], bool], values: tuple[FactValue, ...] = ()) -> Question:
    """reads: gets None for a missing value."""
    of_case = OF_CASE.get(name)
    if of_case is None:
        return Question(name, lambda given: reads(given.facts.get(name)), values)
    return Question(name, lambda given: reads(of_case(given)), values)


@dataclass(frozen=True, slots=True)
class Has:
    """The person has this vulnerability."""

    vulnerability: str

    def holds(self, given: Circumstances) -> bool:
        return self.vulnerability in given.vulnerabilities

    def names(self) -> Iterator[str]:
        yield self.vulnerability

    def compared(self, name: str) -> Iterator[FactValue]:  # noqa: ARG002 - the protocol's signature
        return iter(())


ALWAYS = Always()
DEEPEST = 20  # parentheses and negations within each other
LONGEST = 2_000  # characters of one condition
TOKEN = re.compile(r"\s*(<=|>=|!=|[=<>(),]|[A-Za-z][A-Za-z0-9_-]*|\d+)")
COMPARISONS: Mapping[str, Callable[[int, int], bool]] = MappingProxyType(
    {
        "=": int.__eq__,
        "!=": int.__ne__,
        "<": int.__lt__,
        "<=": int.__le__,
        ">": int.__gt__,
        ">=": int.__ge__,
    }
)


def parse_condition(text: str, *, take_over: bool = False) -> Condition:
    """Read a condition.  take_over: it may also read urgency, coverage, sector and rule."""
    if not text.strip():
        return ALWAYS
    if len(text) > LONGEST:
        raise ConditionError("the condition is too long")
    return _Parser(_tokens(text), take_over).whole()


def _tokens(text: str) -> list[str]:
    tokens, position = [], 0
    while position < len(text.rstrip()):
        match = TOKEN.match(text, position)
        if match is None:
            raise ConditionError(f"cannot read '{text[position:].strip()}'")
        tokens.append(match[1])
        position = match.end()
    return tokens


def _is_compound(condition: Condition) -> bool:
    return not isinstance(condition, Question | Has)


@dataclass(slots=True)
class _Parser:
    tokens: list[str]
    take_over: bool
    position: int = field(default=0)
    depth: int = field(default=0)

    def whole(self) -> Condition:
        condition = self.either()
        if self.peek() is not None:
            raise ConditionError(f"unexpected '{self.peek()}'")
        return condition

    def either(self) -> Condition:
        parts = [self.both()]
        while self.took("or"):
            parts.append(self.both())
        return parts[0] if len(parts) == 1 else AnyOf(tuple(parts))

    def both(self) -> Condition:
        parts = [self.single()]
        while self.took("and"):
            parts.append(self.single())
        parts.sort(key=_is_compound)  # all of them are pure: the cheap ones may decide first
        return parts[0] if len(parts) == 1 else All(tuple(parts))

    def single(self) -> Condition:
        if self.took("not"):
            return Not(self.deeper(self.single))
        if self.took("("):
            inside = self.deeper(self.either)
            self.expect(")")
            return inside
        return self.question(self.next())

    def deeper(self, read: Callable[[], Condition]) -> Condition:
        if self.depth == DEEPEST:
            raise ConditionError("the condition is nested too deeply")
        self.depth += 1
        condition = read()
        self.depth -= 1
        return condition

    def question(self, name: str) -> Condition:
        if name in VULNERABILITIES:
            return Has(name)
        self.check_name(name)
        if self.took("missing"):
            return question(name, lambda value: value is None)
        if name in BOOLEANS:
            return self.about_boolean(name)
        return self.about_number(name) if name in NUMBERS else self.about_code(name)

    def about_boolean(self, name: str) -> Condition:
        if self.peek() == "not" and self.peek(1) == "false":
            self.position += 2
            return question(name, lambda value: value is not False)
        return question(name, lambda value: value is True)

    def about_number(self, name: str) -> Condition:
        compare = COMPARISONS.get(self.next())
        limit = self.next()
        if compare is None or not limit.isdecimal():
            raise ConditionError(f"{name} is compared with a whole number")
        number = int(limit)
        return question(name, lambda value: isinstance(value, int) and compare(value, number), (number,))

    def about_code(self, name: str) -> Condition:
        negated = self.took("not")
        operator = self.next()
        if operator not in ({"in"} if negated else {"in", "=", "!="}):
            raise ConditionError(f"{name} takes =, !=, in or not in")
        codes = self.codes(name) if operator == "in" else (self.code(name),)
        if negated or operator == "!=":
            return question(name, lambda value: value is not None and value not in codes, codes)
        return question(name, lambda value: value in codes, codes)

    def codes(self, name: str) -> tuple[str, ...]:
        codes = [self.code(name)]
        while self.took(","):
            codes.append(self.code(name))
        return tuple(codes)

    def code(self, name: str) -> str:
        code = self.next()
        known = RULE_ID.fullmatch(code) if name == "rule" else code in CODES[name]
        if not known:
            raise ConditionError(f"{name} has no code '{code}'")
        return code

    def check_name(self, name: str) -> None:
        if name in TAKE_OVER_NAMES and not self.take_over:
            raise ConditionError(f"'{name}' is known to take-over rows only")
        if name not in NUMBERS | BOOLEANS | CODES.keys() | {"rule"}:
            raise ConditionError(f"unknown word '{name}'")

    def peek(self, ahead: int = 0) -> str | None:
        index = self.position + ahead
        return self.tokens[index] if index < len(self.tokens) else None

    def next(self) -> str:
        token = self.peek()
        if token is None:
            raise ConditionError("ends too early")
        self.position += 1
        return token

    def took(self, word: str) -> bool:
        if self.peek() != word:
            return False
        self.position += 1
        return True

    def expect(self, word: str) -> None:
        if not self.took(word):
            raise ConditionError(f"'{word}' is missing")


def sample_values(name: str, conditions: Sequence[Condition]) -> list[FactValue | None]:
    """Values of `name` that tell these conditions apart: enough to try every case of a rule set."""
    compared = {value for condition in conditions for value in condition.compared(name)}
    if name == "age":
        return [band.first_year for band in AgeBand]
    if name in VULNERABILITIES:
        return [True, None]
    if name in BOOLEANS:
        return [True, False, None]
    if name in NUMBERS:
        return [None, *sorted({int(limit) + step for limit in compared for step in (-1, 0, 1)})]
    others = sorted({"R99"} if name == "rule" else CODES[name] - compared)
    return [None, *sorted(map(str, compared)), *others[:1]]
