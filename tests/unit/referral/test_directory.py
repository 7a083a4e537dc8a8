"""The sample directory, and what the lint says of a directory with holes."""

import re
from dataclasses import replace
from datetime import date

import pytest
from ihala_events.vocabulary import PartnerType
from ihala_referral.adapters.shipped_data import load_sample_directory
from ihala_referral.domain.directory import Directory, check_directory, directory_warnings
from ihala_referral.domain.errors import DirectoryError
from support.referral_world import directory_with, partner, rules, sample_directory, sample_partners

DAY = date(2026, 11, 16)

# 9 core communes, 4 of Chtouka, 19 inside, 2 prefectures, 1 for everywhere; hospitals have 5 units each
PLACES = {
    "PT-ESSP": 9, "PT-HOS": 10, "PT-REH": 1, "PT-COV": 2, "PT-EDU-DP": 2, "PT-VOC": 2, "PT-UNI": 1, "PT-CAPE": 1,
    "PT-EN": 2, "PT-EMF": 2, "PT-CRDH": 1, "PT-COM": 13, "PT-CIV": 19, "PT-EMP": 2, "PT-NGO-HEA": 1, "PT-NGO-WOM": 1,
    "PT-NGO-CHI": 1, "PT-NGO-LEG": 1, "PT-NGO-SOC": 1, "PT-IOM": 1, "PT-HCR": 1, "PT-COORD": 1,
}  # fmt: skip
ON_CALL = {
    "PT-HOS", "PT-CAPE", "PT-EN", "PT-EMF", "PT-CRDH", "PT-NGO-HEA", "PT-NGO-WOM", "PT-IOM", "PT-COORD",
}  # fmt: skip


def test_the_sample_holds_every_type_in_every_place_of_the_specification() -> None:
    counted = {kind: sum(each.type is kind for each in sample_partners()) for kind in PartnerType}

    assert counted == PLACES
    assert {str(each.type) for each in sample_partners() if each.on_call} == ON_CALL


def test_the_samples_needs_are_those_of_the_rules_that_name_the_type() -> None:
    named: dict[str, set[str]] = {}
    for row in rules().rows:
        for step in row.chain:
            named.setdefault(step.partner_type, set()).update([step.serves] if step.serves else row.needs)
    named["PT-CAPE"].add("SOC-CPU")

    for record in load_sample_directory():
        if record.type not in (PartnerType.HOS, PartnerType.COORD):
            assert set(record.need_codes) == named[record.type], record.partner_id
    hospital = {
        code for record in load_sample_directory() if record.type is PartnerType.HOS for code in record.need_codes
    }
    assert hospital == named["PT-HOS"]


def test_the_sample_names_no_real_place_to_call() -> None:
    for record in load_sample_directory():
        text = " ".join((record.names.fr, record.names.ar, record.names.en))
        assert not re.search(r"\d{4}|@", text)
        assert "(exemple)" in record.names.fr
        assert re.fullmatch(r"[a-z0-9-]+", record.partner_id)
        assert {"fr", "ar"} <= set(record.languages)
        assert record.capacity == {}
        assert all(any(each.covers(code) for each in record.agreements) for code in record.need_codes)


def test_the_sample_leaves_no_step_without_an_agency() -> None:
    assert directory_warnings(sample_directory(), rules(), DAY) == []


def test_the_lint_names_a_step_without_an_agency_and_an_urgent_one_without_duty() -> None:
    directory = directory_with(partner("cape", on_call=False), without=("reh",))

    warnings = directory_warnings(directory, rules(), DAY)

    assert "R40 PT-REH for HEA-DIS: none for AGD-AGADIR" in warnings
    assert "R03a SOC-CPU: nobody on call for INE-LQLIAA" in warnings


def test_two_coordination_cells_are_refused() -> None:
    twice = [*sample_partners(), replace(partner("coord"), partner_id="coord-2")]

    with pytest.raises(DirectoryError, match="exactly one"):
        check_directory(twice)


def test_a_snapshot_keeps_its_partners_in_one_order() -> None:
    assert list(Directory.of(reversed(sample_partners())).partners) == sorted(
        each.partner_id for each in sample_partners()
    )
