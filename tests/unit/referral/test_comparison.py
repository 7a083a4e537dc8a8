"""What counts as a change when another rule set is tried on past cases."""

from dataclasses import replace
from typing import Any

import pytest
from ihala_events.vocabulary import ConsentBasis, PartnerType
from ihala_referral.adapters.shipped_data import rule_texts
from ihala_referral.domain.case import Case
from ihala_referral.domain.comparison import Comparison, PastCase, compared
from ihala_referral.domain.rules import RuleSet, parse_rule_set
from ihala_runtime.identifiers import uuid7
from support.referral_world import a_case, a_need, a_world, consent_to, directory_with, rules

SHIPPED = rule_texts()["2026-11.1.toml"]


def edited(old: str, new: str) -> RuleSet:
    assert old in SHIPPED
    return parse_rule_set(SHIPPED.replace('version = "2026-11.1"', 'version = "new"').replace(old, new, 1))


def compared_over(new: RuleSet, *cases: Case) -> dict[str, Any]:
    comparison = Comparison(a_world(), replace(a_world(), rules=new))
    comparison.add_all(PastCase(uuid7(), "AG-7K3F-9QX2", case.received_at, case) for case in cases)
    return compared(comparison, {})


@pytest.mark.parametrize(
    ("old", "new", "case", "by"),
    [
        (
            'chain = ["PT-ESSP", "PT-NGO-WOM"]',
            'chain = ["PT-NGO-WOM", "PT-ESSP"]',
            a_case("HEA-MAT"),
            [("HEA-MAT", "agency")],
        ),
        (  # both deadlines of U1 come earlier; hospitals are on call, health centres are not
            'id = "R14"\nneeds = ["HEA-INF"]\nurgency = "U2"',
            'id = "R14"\nneeds = ["HEA-INF"]\nurgency = "U1"',
            a_case("HEA-INF"),
            [("RESTRICTED", "agency"), ("RESTRICTED", "deadline"), ("RESTRICTED", "urgency")],
        ),
        (
            'needs = ["HEA-DIS"]\nurgency = "U4"\nchain = ["PT-REH", "PT-NGO-HEA"]\nflags = ["wait"]',
            'needs = ["HEA-DIS"]\nurgency = "U4"\nchain = ["PT-REH", "PT-NGO-HEA"]\nflags = ["confirm"]',
            a_case("HEA-DIS"),
            [("HEA-DIS", "state")],
        ),
        (
            'adds = ["SOC-SHE"]\n',
            "",
            a_case(a_need("SOC-HOU", eviction_tonight=True)),
            [("SOC-SHE", "dropped")],
        ),
        (
            'needs = ["HEA-DIS"]\n',
            'needs = ["HEA-DIS"]\nadds = ["SOC-FOO"]\n',
            a_case("HEA-DIS"),
            [("SOC-FOO", "added")],
        ),
    ],
)
def test_a_change_is_named_by_what_it_would_have_changed(
    old: str, new: str, case: Case, by: list[tuple[str, str]]
) -> None:
    answer = compared_over(edited(old, new), case)

    assert answer["by"] == [{"need_code": need, "change": change, "count": 1} for need, change in by]
    assert (answer["cases"], answer["changed"]) == (1, 1)


def test_another_row_that_leads_to_the_same_is_no_change() -> None:
    answer = compared_over(edited('id = "R11"', 'id = "R51"'), a_case("HEA-MAT"), a_case("HEA-PHC"))

    assert (answer["referrals"], answer["changed"], answer["by"], answer["examples"]) == (2, 0, [], [])


def test_an_example_shows_both_sides_and_a_restricted_need_has_none() -> None:
    women_first = edited('chain = ["PT-ESSP", "PT-NGO-WOM"]', 'chain = ["PT-NGO-WOM", "PT-ESSP"]')

    (example,) = compared_over(women_first, a_case("HEA-MAT"))["examples"]

    assert (example["case_ref"], example["need_code"], example["changes"]) == ("AG-7K3F-9QX2", "HEA-MAT", ["agency"])
    assert (example["old"]["partner_id"], example["new"]["partner_id"]) == ("essp-agd-agadir", "ngo-wom")
    assert (example["old"]["row"], example["new"]["ack_due"]) == ("R11", "2026-11-17T10:15:00Z")

    hospital = edited('needs = ["HEA-INF"]\nurgency = "U2"', 'needs = ["HEA-INF"]\nurgency = "U1"')
    assert compared_over(hospital, a_case("HEA-INF"))["examples"] == []


@pytest.mark.parametrize(
    "case",
    [
        a_case("HEA-MAT", "SOC-GBV"),
        a_case("HEA-MAT", vulnerabilities=("V-GBV",)),
        a_case("HEA-MAT", vulnerabilities=("V-VOT",)),
        a_case(a_need("HEA-EMG", danger_to_life=False), age=16, basis=ConsentBasis.BEST_INTEREST),
    ],
)
def test_a_rule_set_made_to_find_who_has_a_restricted_need_finds_a_number_alone(case: Case) -> None:
    rule_sets = (
        edited('chain = ["PT-ESSP", "PT-NGO-WOM"]', 'chain = ["PT-NGO-WOM", "PT-ESSP"]'),
        edited('id = "R27b"\nneeds = ["SOC-GBV"]\n', 'id = "R27b"\nneeds = ["SOC-GBV"]\nadds = ["SOC-FOO"]\n'),
        edited('id = "R07"\nneeds = ["HEA-EMG"]\nurgency = "U1"', 'id = "R07"\nneeds = ["HEA-EMG"]\nurgency = "U0"'),
    )

    answers = [compared_over(each, case) for each in rule_sets]

    assert sum(each["changed"] for each in answers) > 0
    assert [each["examples"] for each in answers] == [[], [], []]


def test_there_are_at_most_twenty_examples() -> None:
    women_first = edited('chain = ["PT-ESSP", "PT-NGO-WOM"]', 'chain = ["PT-NGO-WOM", "PT-ESSP"]')

    answer = compared_over(women_first, *[a_case("HEA-MAT")] * 30)

    assert (answer["changed"], len(answer["examples"])) == (30, 20)


def test_a_hold_for_consent_is_a_change_of_state() -> None:
    centre_alone = edited('chain = ["PT-ESSP", "PT-NGO-WOM"]', 'chain = ["PT-ESSP"]')
    case = a_case("HEA-MAT", scope=consent_to("HEA-MAT", types=(PartnerType.NGO_WOM,)), basis=ConsentBasis.CONSENT)

    answer = compared_over(centre_alone, case)

    assert [each["change"] for each in answer["by"]] == ["agency", "state"]


def test_a_case_of_a_day_without_a_coordination_cell_is_left_out() -> None:
    without = a_world(directory_with(without=("coord",)))
    comparison = Comparison(without, replace(without, rules=rules()))

    comparison.add(PastCase(uuid7(), "AG-7K3F-9QX2", a_case().received_at, a_case("HEA-MAT")))

    assert (comparison.cases, comparison.skipped) == (0, 1)
