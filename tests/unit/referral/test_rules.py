"""The rule file is checked when it is loaded: what is wrong names its row."""

from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from ihala_events.vocabulary import NEEDS, Vulnerability
from ihala_referral.adapters.shipped_data import rule_texts
from ihala_referral.domain.conditions import Circumstances, ConditionError, parse_condition
from ihala_referral.domain.errors import RuleSetError
from ihala_referral.domain.rules import in_force, parse_rule_set
from support.referral_world import rules

SHIPPED = next(iter(rule_texts().values()))


def test_the_shipped_rules_have_neither_errors_nor_warnings() -> None:
    assert rules().warnings == ()
    assert all(rules().rows_of[code] for code in NEEDS)


def _shipped_with(old: str, new: str) -> str:
    assert old in SHIPPED
    return SHIPPED.replace(old, new, 1)


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ('needs = ["HEA-MAT"]', 'needs = ["HEA-XXX"]', "R10: unknown need 'HEA-XXX'"),
        ('chain = ["PT-HOS", "PT-ESSP"]', 'chain = ["PT-POL"]', "R07: unknown step 'PT-POL'"),
        ('chain = ["PT-HOS", "PT-ESSP"]', 'chain = ["PT-COORD"]', "R07: PT-COORD ends every chain"),
        ('when = "danger_to_life not false"', 'when = "danger not false"', "R02: unknown word 'danger'"),
        ('when = "sex = M"', 'when = "sex = Q"', "R27a: sex has no code 'Q'"),
        ('when = "sex = M"', 'when = "urgency = U0"', "R27a: 'urgency' is known to take-over rows only"),
        ('when = "self_harm_risk"', 'when = "eviction_tonight"', "R15: HEA-MHP has no fact 'eviction_tonight'"),
        ('when = "sex = M"', 'when = "status = ST-REG"', "R27a: reads status, but R27 is not among status_rules"),
        ('flags = ["in_person"]', 'flags = ["on_paper"]', "R27a: unknown flag 'on_paper'"),
        ('urgency = "U3"\nurgency_if', 'urgency = "U9"\nurgency_if', "R44: unknown urgency 'U9'"),
        ('id = "R07"', 'id = "R02"', "R02: this id stands twice"),
        ('adds = ["SOC-SHE"]', 'adds = ["SOC-SHE"]\nextra = 1', "R42a: unknown key 'extra'"),
    ],
)
def test_a_wrong_row_is_refused_by_its_name(old: str, new: str, problem: str) -> None:
    with pytest.raises(RuleSetError) as refusal:
        parse_rule_set(_shipped_with(old, new))

    assert problem in str(refusal.value)


def test_a_row_that_the_rows_before_it_hide_is_refused() -> None:
    text = _shipped_with('when = "pregnancy_weeks >= 36 or danger_sign"', 'when = "pregnancy_weeks missing"')
    hidden = text.replace(
        'id = "R11"\nneeds = ["HEA-MAT"]', 'id = "R11"\nneeds = ["HEA-MAT"]\nwhen = "pregnancy_weeks missing"'
    )

    with pytest.raises(RuleSetError, match="R11: never reached for HEA-MAT"):
        parse_rule_set(hidden)


def test_a_take_over_that_is_hidden_is_refused() -> None:
    text = _shipped_with(" and (V-UAC or not V-SEP)", "")

    with pytest.raises(RuleSetError, match="R04b: never reached"):
        parse_rule_set(text)


def test_a_need_that_adds_itself_by_a_detour_is_refused() -> None:
    text = _shipped_with('id = "R30"', 'id = "R30"\nadds = ["SOC-HOU"]')

    with pytest.raises(RuleSetError, match="R30: a cycle, SOC-HOU adds SOC-SHE"):
        parse_rule_set(text)


def test_needs_that_stand_in_for_each_other_are_refused() -> None:
    text = _shipped_with('chain = ["PT-NGO-CHI", "PT-COM"]', 'chain = ["PT-NGO-CHI[EDU-ENR]", "PT-COM"]')

    with pytest.raises(RuleSetError, match="R21a: a cycle, EDU-ENR stands in for EDU-PRE"):
        parse_rule_set(text)


def test_a_need_left_to_the_catch_all_is_a_warning() -> None:
    text = _shipped_with('needs = ["SOC-LEG"]', 'needs = ["SOC-ASY"]').replace(
        'id = "R35"\nneeds = ["SOC-ASY"]', 'id = "R35"\nneeds = ["SOC-VOT"]'
    )
    without_own_row = text.replace(
        'id = "R28"\nneeds = ["SOC-VOT"]', 'id = "R28"\nneeds = ["SOC-VOT"]\nwhen = "age < 18"'
    )

    assert "SOC-LEG: reaches only the catch-all" in parse_rule_set(without_own_row).warnings


def test_a_hole_in_a_need_is_a_warning() -> None:
    text = _shipped_with('id = "R16"\nneeds = ["HEA-MHP"]', 'id = "R16"\nneeds = ["HEA-MHP"]\nwhen = "age >= 18"')

    assert parse_rule_set(text).warnings == ("HEA-MHP: some cases reach the catch-all",)


def test_what_is_not_toml_is_refused_without_a_stack_of_errors() -> None:
    with pytest.raises(RuleSetError, match="not TOML"):
        parse_rule_set("[[row")


def _given(**changes: Any) -> Circumstances:
    facts = {name: changes.pop(name) for name in list(changes) if name in ("danger_sign", "pregnancy_weeks")}
    base: dict[str, Any] = {"age": 25, "sex": "F", "status": None, "basis": "CONSENT", "vulnerabilities": frozenset()}
    return Circumstances(**(base | changes), facts=facts)


@pytest.mark.parametrize(
    ("text", "given", "holds"),
    [
        ("", _given(), True),
        ("danger_sign", _given(), False),
        ("danger_sign", _given(danger_sign=False), False),
        ("danger_sign not false", _given(), True),
        ("danger_sign not false", _given(danger_sign=False), False),
        ("danger_sign missing", _given(), True),
        ("pregnancy_weeks < 36", _given(), False),
        ("pregnancy_weeks < 36", _given(pregnancy_weeks=35), True),
        ("not pregnancy_weeks < 36", _given(), True),
        ("status not in ST-REG, ST-REF", _given(), False),
        ("status not in ST-REG, ST-REF", _given(status="ST-IRR"), True),
        ("V-UAC or not V-SEP", _given(vulnerabilities=frozenset({"V-SEP"})), False),
        ("age < 18 or sex = F and danger_sign", _given(danger_sign=True), True),
        ("(age < 18 or sex = F) and danger_sign", _given(), False),
    ],
)
def test_a_condition_reads_as_it_is_written(text: str, given: Circumstances, holds: bool) -> None:
    assert parse_condition(text).holds(given) is holds


@pytest.mark.parametrize(
    "text", ["age >=", "age > old", "(sex = F", "sex = F sex = M", "sex in", "age ? 3", "danger_sign and"]
)
def test_a_condition_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(ConditionError):
        parse_condition(text)


HEAD = '[rule_set]\nversion = "1"\nvalid_from = 2026-11-01\n'


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "file: 'row' is missing"),
        ("row = 5\n" + HEAD, "row: is written"),
        ('row = ["R02"]\n' + HEAD, "row 1: a table is expected"),
        ("rule_set = 5\nrow = []", "rule_set: a table is expected"),
        ("row = []\n[rule_set]\nversion = 1\nvalid_from = 2026-11-01", "rule_set: 'version' is a text"),
        ('row = []\n[rule_set]\nversion = "a b"\nvalid_from = 2026-11-01', "rule_set: 'version' is up to 40"),
        ('row = []\n[rule_set]\nversion = "1"\nvalid_from = "2026-11-01"', "rule_set: 'valid_from' is a date"),
        ('row = []\n[rule_set]\nversion = "1"\nvalid_from = 2026-11-01T00:00:00Z', "rule_set: 'valid_from' is a date"),
        ('row = []\n[rule_set]\nversion = "1"\nvalid_from = 0001-01-01', "rule_set: 'valid_from' lies in"),
        ('row = []\n[rule_set]\nversion = "1"\nvalid_from = 2026-02-30', "not TOML"),
        ("row = " + "[" * 5000, "not TOML"),
    ],
)
def test_a_file_of_another_shape_is_refused_by_name(text: str, problem: str) -> None:
    with pytest.raises(RuleSetError) as refused:
        parse_rule_set(text)

    assert problem in str(refused.value)


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ('needs = ["HEA-MAT"]', 'needs = "HEA-MAT"', "R10: 'needs' is a list of texts"),
        ('needs = ["HEA-MAT"]', "needs = []", "R10: 'needs' names each need once"),
        ('needs = ["HEA-MAT"]', 'needs = ["HEA-MAT", 5]', "R10: 'needs' is a list of texts"),
        ('when = "self_harm_risk"', "when = true", "R15: 'when' is a text"),
        ('chain = ["PT-HOS", "PT-ESSP"]', 'chain = ["PT-HOS", "PT-HOS"]', "R07: 'chain' names a step twice"),
        ('id = "R07"\n', "", "row 4: 'id' is missing"),
        ('id = "R07"\n', "id = 7\n", "row 4: 'id' is a text"),
        ('status_rules = ["R17"', 'status_rules = ["R17a"', "rule_set: 'status_rules' names rules"),
        ('when_added = ["SOC-CPU"', 'when_added = ["SOC-XXX"', "rule_set: unknown need 'SOC-XXX'"),
        ("of_each_need = true", 'of_each_need = "yes"', "HEA-EMG: 'of_each_need' is true or false"),
    ],
)
def test_a_wrong_type_names_its_row(old: str, new: str, problem: str) -> None:
    with pytest.raises(RuleSetError) as refused:
        parse_rule_set(_shipped_with(old, new))

    assert problem in str(refused.value)


def test_every_wrong_row_is_named_at_once() -> None:
    text = _shipped_with('needs = ["HEA-MAT"]', "needs = []").replace('when = "self_harm_risk"', 'when = "?"')

    with pytest.raises(RuleSetError) as refused:
        parse_rule_set(text)

    assert [problem.split(":")[0] for problem in refused.value.problems] == ["R10", "R15"]


@pytest.mark.parametrize("when", ["(" * 21 + "danger_sign" + ")" * 21, "not " * 21 + "danger_sign", "age<9 or " * 300])
def test_a_condition_that_nobody_could_read_is_refused(when: str) -> None:
    with pytest.raises(RuleSetError, match="R15: the condition is"):
        parse_rule_set(_shipped_with('when = "self_harm_risk"', f'when = "{when}"'))


def test_conditions_that_cannot_be_checked_in_time_are_refused() -> None:
    every = " or ".join([*map(str, Vulnerability), "age < 3", "sex = M", "self_harm_risk", "basis = CONSENT"])

    with pytest.raises(RuleSetError, match="HEA-MHP: its rows tell more than 100000 cases apart"):
        parse_rule_set(_shipped_with('when = "self_harm_risk"', f'when = "{every}"'))


@pytest.mark.parametrize(
    ("today", "version"), [("2026-10-01", "a"), ("2026-11-30", "a"), ("2026-12-01", "b"), ("2027-01-01", "b")]
)
def test_a_set_that_begins_later_is_not_yet_in_force(today: str, version: str) -> None:
    first = replace(rules(), version="a", valid_from=date(2026, 11, 1))
    second = replace(rules(), version="b", valid_from=date(2026, 12, 1))

    assert in_force([second, first], date.fromisoformat(today)).version == version


def test_rule_files_are_named_by_their_version() -> None:
    for name, text in rule_texts().items():
        assert Path(name).stem == parse_rule_set(text).version
