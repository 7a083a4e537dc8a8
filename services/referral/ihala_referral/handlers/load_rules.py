"""The operator loads a rule set beside those that are there; it routes nobody until it is activated."""

from ihala_referral.domain.errors import RuleSetError
from ihala_referral.domain.rules import RuleSet, parse_rule_set

LONGEST_MESSAGE = 200

FieldProblem = tuple[str, str, str]


def read_rules(raw: bytes, version: str) -> RuleSet:
    """version: the one it is loaded under.  Raises RuleSetError, one problem for each wrong row."""
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        raise RuleSetError(["file: not text in UTF-8"]) from None
    rules = parse_rule_set(text)
    if rules.version != version:
        raise RuleSetError(["rule_set: 'version' must be the one it is loaded under"])
    return rules


def rule_problems(error: RuleSetError) -> list[FieldProblem]:
    """(pointer, code, message): the pointer names the row by its id."""
    return [_problem(*problem.split(": ", 1)) for problem in error.problems]


def _problem(place: str, message: str) -> FieldProblem:
    pointer = "/" + place[:40].replace("~", "~0").replace("/", "~1")
    return pointer, "wrong-rule", message[:LONGEST_MESSAGE]
