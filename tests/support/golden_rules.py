"""The shipped rules as the specification writes them, by hand: what each row says, and which row each case meets.

`differences` tells what a rule set does otherwise; every row, take-over and addition is met by at least one case.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

from ihala_events.vocabulary import NEEDS
from ihala_referral.domain.conditions import ALWAYS, Circumstances
from ihala_referral.domain.rules import RuleSet, Step

# row | needs | urgency | chain | flags
ROWS = """
R02  | HEA-EMG                 | U0 | PT-HOS PT-HOS+                              | far
R03a | SOC-CPU                 | U1 | PT-CAPE PT-EN PT-IOM                        | far
R04a | SOC-CPU                 | U1 | PT-CAPE PT-NGO-CHI                          | far
R07  | HEA-EMG                 | U1 | PT-HOS PT-ESSP                              |
R08a | HEA-SRV                 | U0 | PT-HOS[HEA-EMG] PT-HOS                      |
R08b | HEA-SRV                 | U0 | PT-HOS PT-HOS[HEA-EMG]                      |
R09a | HEA-SRV                 | U1 | PT-HOS[HEA-EMG] PT-HOS PT-NGO-HEA           |
R09b | HEA-SRV                 | U1 | PT-HOS PT-NGO-WOM                           |
R10  | HEA-MAT                 | U1 | PT-HOS PT-HOS+                              |
R11  | HEA-MAT                 | U2 | PT-ESSP PT-NGO-WOM                          |
R12a | HEA-CHI                 | U2 | PT-ESSP PT-ESSP+                            |
R12b | HEA-CHI                 | U3 | PT-ESSP PT-ESSP+                            |
R13a | HEA-CHR HEA-MED         | U2 | PT-ESSP PT-NGO-HEA PT-HOS                   |
R13b | HEA-CHR HEA-MED         | U3 | PT-ESSP PT-NGO-HEA PT-HOS                   |
R14  | HEA-INF                 | U2 | PT-ESSP PT-NGO-HEA                          |
R15  | HEA-MHP                 | U0 | PT-HOS PT-HOS[HEA-EMG]                      |
R16  | HEA-MHP                 | U3 | PT-NGO-HEA PT-ESSP                          |
R17  | HEA-COV                 | U4 | PT-COV PT-NGO-LEG                           |
R18  | HEA-COV                 | U4 | PT-NGO-HEA                                  | info
R19  | EDU-ENR EDU-PRE         | U3 | PT-EDU-DP PT-NGO-CHI                        |
R20  | EDU-ENR EDU-PRE         | U3 | PT-EDU-DP PT-NGO-CHI                        |
R21a | EDU-PRE SOC-CHC         | U4 | PT-NGO-CHI PT-COM                           | wait
R21b | EDU-ENR EDU-REI EDU-NFE | U4 | PT-NGO-CHI[EDU-PRE] PT-COM[EDU-PRE]         | wait
R22a | EDU-NFE                 | U3 | PT-EDU-DP PT-NGO-CHI                        |
R22b | EDU-REI                 | U3 | PT-EDU-DP[EDU-NFE] PT-NGO-CHI[EDU-NFE]      |
R22c | EDU-REI                 | U3 | PT-EDU-DP PT-NGO-CHI                        |
R22d | EDU-VOC SOC-EMP         | U3 | PT-EDU-DP[EDU-NFE] PT-NGO-CHI[EDU-NFE]      |
R23a | EDU-VOC                 | U4 | PT-VOC PT-NGO-SOC                           | wait
R23b | SOC-EMP                 | U4 | PT-VOC[EDU-VOC] PT-NGO-SOC[EDU-VOC]         | wait
R24a | EDU-ADL                 | U4 | PT-NGO-SOC PT-COM                           | wait
R24b | EDU-ENR EDU-REI EDU-NFE | U4 | PT-NGO-SOC[EDU-ADL] PT-COM[EDU-ADL]         | wait
R25a | EDU-HED                 | U4 | PT-UNI PT-HCR                               |
R25b | EDU-HED                 | U4 | PT-UNI                                      |
R26a | SOC-CPR                 | U1 | PT-CAPE PT-EN                               |
R26b | SOC-GBV                 | U1 | PT-CAPE PT-EN                               |
R27a | SOC-GBV                 | U1 | PT-NGO-HEA                                  | in_person
R27b | SOC-GBV                 | U1 | PT-EMF PT-NGO-WOM                           | in_person scope_order
R28  | SOC-VOT                 | U1 | PT-IOM PT-CRDH                              |
R29  | SOC-SHE                 | U1 | PT-EMF PT-EN PT-IOM                         |
R30  | SOC-SHE                 | U1 | PT-EN PT-NGO-SOC                            |
R31a | SOC-FOO SOC-NFI SOC-CAS | U2 | PT-NGO-SOC PT-COM PT-EN                     |
R31b | SOC-FOO SOC-NFI SOC-CAS | U3 | PT-NGO-SOC PT-COM PT-EN                     |
R32  | SOC-CIV                 | U2 | PT-CIV= PT-CRDH                             |
R33  | SOC-CIV                 | U3 | PT-NGO-LEG PT-CRDH                          |
R34  | SOC-LEG                 | U3 | PT-NGO-LEG PT-CRDH                          |
R35  | SOC-ASY                 | U2 | PT-HCR PT-NGO-LEG                           |
R36a | SOC-EMP                 | U4 | PT-EMP PT-NGO-SOC                           | wait
R36b | SOC-EMP                 | U4 | PT-NGO-SOC                                  | wait
R37a | SOC-AVR                 | U4 | PT-IOM                                      |
R37b | SOC-AVR                 | U4 | PT-CAPE[SOC-CPR]                            | confirm
R38  | HEA-PHC HEA-SRH         | U3 | PT-ESSP PT-ESSP+                            |
R39  | HEA-HOS                 | U3 | PT-ESSP PT-HOS                              |
R40  | HEA-DIS                 | U4 | PT-REH PT-NGO-HEA                           | wait
R41a | EDU-LNG EDU-INC EDU-DOC EDU-SUP | U4 | PT-EDU-DP PT-NGO-CHI                |
R41b | EDU-ADL                 | U4 | PT-EDU-DP[EDU-LNG] PT-NGO-CHI[EDU-LNG]      |
R41c | EDU-HED                 | U4 | PT-EDU-DP[EDU-DOC]                          |
R42a | SOC-HOU                 | U2 | PT-NGO-LEG                                  |
R42b | SOC-HOU                 | U3 | PT-NGO-LEG                                  |
R44  | all                     | U3 |                                             | gap
"""

# row | chain | chain of a restricted need | flags
TAKE_OVERS = """
R03b | PT-CAPE[SOC-CPU] PT-EN[SOC-CPU] PT-IOM[SOC-CPU] | PT-CAPE[SOC-CPU] PT-EN[SOC-CPU] PT-IOM[SOC-CPU] | far
R04b | PT-CAPE[SOC-CPU] PT-NGO-CHI[SOC-CPU]            | PT-CAPE[SOC-CPU] PT-NGO-CHI[SOC-CPU]            | far
R05  | PT-COM[any]=                                    |                                                 | redirect
"""

CASE_WORDS = frozenset({"age", "sex", "status", "basis", "urgency", "coverage", "sector", "rule"})


def given(vulnerabilities: str = "", **words: Any) -> Circumstances:
    """A woman of 25 who consents; words that are none of a case's are facts."""
    case: dict[str, Any] = {"age": 25, "sex": "F", "basis": "CONSENT"} | {
        key: words[key] for key in words if key in CASE_WORDS
    }
    facts = {key: value for key, value in words.items() if key not in CASE_WORDS}
    return Circumstances(
        **({"status": "ST-UNK" if case["age"] >= 18 else None} | case),
        vulnerabilities=frozenset(vulnerabilities.split()),
        facts=facts,
    )


class Met(NamedTuple):
    """A need in these circumstances meets this row, which adds and offers these needs."""

    need: str
    given: Circumstances
    row: str
    adds: str = ""
    offers: str = ""


CASES = (
    Met("HEA-EMG", given(danger_to_life=True), "R02"),
    Met("HEA-EMG", given(), "R02"),
    Met("HEA-EMG", given(danger_to_life=False), "R07"),
    Met("SOC-CPU", given("V-UAC", age=12), "R03a"),
    Met("SOC-CPU", given("V-UAC V-SEP", age=12), "R03a"),
    Met("SOC-CPU", given(age=12), "R03a"),
    Met("SOC-CPU", given("V-SEP", age=12), "R04a"),
    Met("HEA-SRV", given(care_window="open", sex="M", age=18), "R08a"),
    Met("HEA-SRV", given(care_window="open", sex="F", age=18), "R08b"),
    Met("HEA-SRV", given(care_window="open", sex="M", age=16), "R08b", adds="SOC-CPR"),
    Met("HEA-SRV", given(care_window="closed", sex="M", age=18), "R09a", offers="HEA-MHP"),
    Met("HEA-SRV", given(sex="U"), "R09b", offers="HEA-MHP"),
    Met("HEA-SRV", given(sex="M", age=12), "R09b", adds="SOC-CPR", offers="HEA-MHP"),
    Met("HEA-MAT", given(pregnancy_weeks=36), "R10"),
    Met("HEA-MAT", given(pregnancy_weeks=20, danger_sign=True), "R10"),
    Met("HEA-MAT", given(pregnancy_weeks=35), "R11"),
    Met("HEA-CHI", given(age=0), "R12a"),
    Met("HEA-CHI", given(age=5), "R12b"),
    *[Met(code, given(treatment_interrupted=True), "R13a") for code in ("HEA-CHR", "HEA-MED")],
    *[Met(code, given(), "R13b") for code in ("HEA-CHR", "HEA-MED")],
    Met("HEA-INF", given(), "R14"),
    Met("HEA-MHP", given(self_harm_risk=True), "R15"),
    Met("HEA-MHP", given(), "R16"),
    Met("HEA-COV", given(age=16), "R17"),
    *[Met("HEA-COV", given(status=status), "R17") for status in ("ST-REG", "ST-REF", "ST-PEN")],
    *[Met("HEA-COV", given(status=status), "R18", offers="HEA-PHC") for status in ("ST-UNK", "ST-IRR", "ST-ASY")],
    *[Met(code, given(age=age), "R19", offers="EDU-NFE") for code in ("EDU-ENR", "EDU-PRE") for age in (6, 12)],
    *[Met(code, given(age=16), "R20", offers="EDU-VOC EDU-NFE") for code in ("EDU-ENR", "EDU-PRE")],
    Met("EDU-PRE", given(age=5), "R21a"),
    Met("EDU-PRE", given(age=18), "R21a"),
    Met("SOC-CHC", given(), "R21a"),
    *[Met(code, given(age=5), "R21b") for code in ("EDU-ENR", "EDU-REI", "EDU-NFE")],
    Met("EDU-NFE", given(age=6), "R22a"),
    Met("EDU-REI", given(age=12, out_of_school_months=12), "R22b"),
    Met("EDU-REI", given(age=12, out_of_school_months=11), "R22c", offers="EDU-NFE"),
    Met("EDU-REI", given(age=18, out_of_school_months=12), "R24b"),
    Met("EDU-REI", given(age=6), "R22c", offers="EDU-NFE"),
    *[Met(code, given(age=12), "R22d") for code in ("EDU-VOC", "SOC-EMP")],
    Met("EDU-VOC", given(age=16), "R23a"),
    Met("SOC-EMP", given(age=16), "R23b"),
    Met("EDU-ADL", given(age=18), "R24a"),
    *[Met(code, given(age=18), "R24b") for code in ("EDU-ENR", "EDU-REI", "EDU-NFE")],
    Met("EDU-HED", given(age=18, status="ST-REF"), "R25a"),
    Met("EDU-HED", given(age=18, status="ST-REG"), "R25b"),
    Met("EDU-HED", given(age=16), "R25b"),
    Met("EDU-HED", given(age=16, status="ST-REF"), "R25b"),  # routing reads no minor's status; the row says so too
    Met("SOC-CPR", given(age=12), "R26a"),
    Met("SOC-CPR", given(), "R26a"),
    Met("SOC-GBV", given(age=16), "R26b"),
    Met("SOC-GBV", given(age=16, sex="M", care_window="open"), "R26b", offers="HEA-SRV"),
    Met("SOC-GBV", given(sex="M"), "R27a"),
    Met("SOC-GBV", given(sex="M", care_window="open"), "R27a", offers="HEA-SRV"),
    Met("SOC-GBV", given(sex="X"), "R27b"),
    Met("SOC-GBV", given(care_window="open"), "R27b", offers="HEA-SRV"),
    Met("SOC-VOT", given(), "R28"),
    Met("SOC-VOT", given(age=16), "R28", adds="SOC-CPR"),
    Met("SOC-SHE", given(sex="U", woman_alone_or_with_children=True), "R29"),
    Met("SOC-SHE", given(sex="F"), "R29"),
    Met("SOC-SHE", given(sex="F", woman_alone_or_with_children=False), "R30"),
    Met("SOC-SHE", given(sex="M"), "R30"),
    *[
        Met(code, case, "R31a")
        for code in ("SOC-FOO", "SOC-NFI", "SOC-CAS")
        for case in (given(infant_in_household=True), given("V-PRG"), given(age=0))
    ],
    *[Met(code, given(age=5), "R31b") for code in ("SOC-FOO", "SOC-NFI", "SOC-CAS")],
    Met("SOC-CIV", given(birth_days=29), "R32"),
    Met("SOC-CIV", given(birth_days=30), "R33"),
    Met("SOC-CIV", given(), "R33"),
    Met("SOC-LEG", given(), "R34"),
    Met("SOC-ASY", given(), "R35"),
    *[Met("SOC-EMP", given(status=status), "R36a") for status in ("ST-REG", "ST-REF")],
    *[Met("SOC-EMP", given(status=status), "R36b") for status in ("ST-UNK", "ST-PEN")],
    Met("SOC-AVR", given(age=18), "R37a"),
    Met("SOC-AVR", given(age=16), "R37b"),
    *[Met(code, given(), "R38") for code in ("HEA-PHC", "HEA-SRH")],
    Met("HEA-HOS", given(), "R39"),
    Met("HEA-DIS", given(), "R40"),
    *[Met(code, given(), "R41a") for code in ("EDU-LNG", "EDU-INC", "EDU-DOC", "EDU-SUP")],
    Met("EDU-ADL", given(age=16), "R41b"),
    Met("EDU-HED", given(age=12), "R41c"),
    Met("SOC-HOU", given(eviction_tonight=True), "R42a", adds="SOC-SHE"),
    Met("SOC-HOU", given(), "R42b"),
)


def child(vulnerabilities: str = "", **words: Any) -> Circumstances:
    """A child under the best interest who asks for school, inside."""
    usual = {"age": 12, "basis": "BEST_INTEREST", "rule": "R19", "sector": "EDU", "urgency": "U3", "coverage": "core"}
    return given(vulnerabilities, **(usual | words))


def outside(**words: Any) -> Circumstances:
    """An adult of a commune outside who asks for a language course."""
    return given(**({"rule": "R24", "sector": "EDU", "urgency": "U4", "coverage": "out"} | words))


TAKEN_OVER = (
    (child("V-UAC"), "R03b"),
    (child("V-UAC V-SEP"), "R03b"),
    (child(), "R03b"),
    (child("V-SEP"), "R04b"),
    (child(age=18), None),
    (child("V-SEP", age=18), None),
    (child(basis="GUARDIAN"), None),
    (child("V-SEP", basis="GUARDIAN"), None),
    *[(child(rule=rule), None) for rule in ("R02", "R03", "R04", "R26", "R28")],
    *[(child("V-SEP", rule=rule), None) for rule in ("R02", "R03", "R04", "R26", "R28")],
    *[(child(sector="HEA", rule="R10", urgency=urgency), None) for urgency in ("U0", "U1")],
    *[(child("V-SEP", sector="HEA", rule="R10", urgency=urgency), None) for urgency in ("U0", "U1")],
    (child(sector="HEA", rule="R38"), "R03b"),
    (child(sector="SOC", rule="R29", urgency="U1"), "R03b"),
    (child(coverage="out"), "R03b"),
    (outside(), "R05"),
    (outside(coverage="watch"), "R05"),
    (outside(coverage="core"), None),
    (outside(coverage="extended"), None),
    (outside(urgency="U1"), "R05"),
    (outside(urgency="U0", rule="R15", sector="HEA"), None),
    *[(outside(rule=rule), None) for rule in ("R02", "R03", "R04")],
)

ADDED: tuple[tuple[Circumstances, set[str]], ...] = (
    (given(danger_to_life=True), {"HEA-EMG"}),
    (given(danger_to_life=False), set()),
    (given("V-UAC", age=16), {"SOC-CPU"}),
    (given("V-SEP", age=16), {"SOC-CPU"}),
    (given("V-UAC V-SEP", age=18), set()),
    (given(age=16), set()),
)


def differences(rules: RuleSet) -> list[str]:
    """Where this rule set does otherwise than the specification; empty when nowhere."""
    found = [*_rows(rules), *_cases(rules), *_take_overs(rules), *_taken_over(rules), *_additions(rules)]
    if rules.status_rules != {"R17", "R18", "R25", "R36"}:
        found.append("status is read by others")
    if rules.best_interest_when_added != {"SOC-CPU", "SOC-CPR"}:
        found.append("the best interest is another's")
    return found


def _rows(rules: RuleSet) -> Iterator[str]:
    written = {
        row.row_id: [
            "all" if row.needs == tuple(NEEDS) else " ".join(row.needs),
            str(row.urgency),
            _written(row.chain),
            " ".join(sorted(row.flags)),
        ]
        for row in rules.rows
    }
    yield from _unequal({row: rest for row, *rest in _table(ROWS)}, written)
    facts = {row.row_id: (row.commune, row.hard_date) for row in rules.rows if row.commune or row.hard_date}
    if facts != {"R32": ("birth_commune_code", "birth_date")}:
        yield "R32: another place or last day"
    if {row.row_id for row in rules.rows if row.urgency_if_confirmed is not row.urgency} != {"R44"}:
        yield "R44: another urgency of what a human confirms"
    if [row.urgency_if_confirmed for row in rules.rows if row.row_id == "R44"] != ["U1"]:
        yield "R44: what a human confirms is not U1"
    if any(row.when is not ALWAYS for row in rules.rows if row.row_id == "R44"):
        yield "R44: has a condition"


def _cases(rules: RuleSet) -> Iterator[str]:
    for met in CASES:
        row = rules.row_for(met.need, met.given)
        adds = {each.need_code for each in row.adds if each.when.holds(met.given)}
        offers = {each.need_code for each in row.offers if each.when.holds(met.given)}
        if (row.row_id, adds, offers) != (met.row, set(met.adds.split()), set(met.offers.split())):
            yield f"{met.row}: {met.need} {met.given} meets {row.row_id}, adds {adds}, offers {offers}"


def _take_overs(rules: RuleSet) -> Iterator[str]:
    written = {
        row.row_id: [_written(row.chain), _written(row.chain_if_restricted), " ".join(sorted(row.flags))]
        for row in rules.take_overs
    }
    yield from _unequal({row: rest for row, *rest in _table(TAKE_OVERS)}, written)


def _taken_over(rules: RuleSet) -> Iterator[str]:
    for circumstances, expected in TAKEN_OVER:
        taken = rules.take_over_for(circumstances)
        if (taken.row_id if taken else None) != expected:
            yield f"{expected}: {circumstances} is taken over by {taken}"


def _additions(rules: RuleSet) -> Iterator[str]:
    for circumstances, expected in ADDED:
        added = {each.need_code for each in rules.additions if each.when.holds(circumstances)}
        if added != expected:
            yield f"{circumstances} adds {added}"
    if {each.need_code for each in rules.additions if each.of_each_need} != {"HEA-EMG"}:
        yield "other needs are added by the facts of each need"


def _table(text: str) -> list[list[str]]:
    return [[" ".join(cell.split()) for cell in line.split("|")] for line in text.strip().splitlines()]


def _unequal(expected: dict[str, list[str]], written: dict[str, list[str]]) -> Iterator[str]:
    for row in expected.keys() | written.keys():
        if expected.get(row) != written.get(row):
            yield f"{row}: {written.get(row)} instead of {expected.get(row)}"


def _written(chain: tuple[Step, ...]) -> str:
    """A chain as the table writes it."""
    return " ".join(
        step.partner_type
        + (f"[{step.serves}]" if step.serves else "")
        + ("=" if step.named_commune else "")
        + ("+" if step.others else "")
        for step in chain
    )
