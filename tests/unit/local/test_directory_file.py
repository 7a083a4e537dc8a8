"""The directory as a file: what is exported is imported to the same records."""

from collections.abc import Mapping
from typing import Any

import pytest
from ihala_local.directory import NotADirectory, as_toml, checked, contents_of, partners_in
from ihala_local.provision import sample_partners

A_PARTNER = {
    "partner_id": "essp-agd-agadir",
    "type": "PT-ESSP",
    "names": {"fr": "Centre « Example »", "ar": "مركز صحي", "en": 'The "health" centre \\ Agadir'},
    "parent": None,
    "communes": ["AGD-AGADIR", "*"],
    "hours": [{"day": "mon", "opens": "08:30", "closes": "16:30"}],
    "on_call": False,
    "capacity": {"HEA-MAT": 3, "HEA-PHC": None},
    "active_from": "2025-01-01",
    "active_until": None,
}


def without_nulls(partner: Mapping[str, object]) -> dict[str, object]:
    kept = {key: value for key, value in partner.items() if value is not None}
    return kept | {"capacity": {"HEA-MAT": 3}}


def test_a_record_comes_back_as_it_went() -> None:
    assert partners_in(as_toml([A_PARTNER])) == [without_nulls(A_PARTNER)]


def test_the_whole_sample_comes_back_as_it_went() -> None:
    sample = sample_partners()

    assert partners_in(as_toml(sample)) == sample
    assert len(sample) > 10


def test_programmes_come_back_beside_the_agencies() -> None:
    programme = {"programme_id": "pilot", "partner_id": "ngo-wom", "need_codes": ["EDU-VOC"], "since": "2026-11-01"}

    assert contents_of(as_toml([A_PARTNER], [programme | {"places": None}])) == (
        [without_nulls(A_PARTNER)],
        [programme],
    )


def test_dates_are_sent_as_text() -> None:
    assert partners_in("[[partner]]\nactive_from = 2025-01-01\n") == [{"active_from": "2025-01-01"}]


@pytest.mark.parametrize("content", ["", "partner = ", "[agency]\nname = 'x'"])
def test_a_file_without_agencies_is_refused(content: str) -> None:
    with pytest.raises(NotADirectory, match="one \\[\\[partner\\]\\] for each agency"):
        partners_in(content)


def an_agency(partner_id: str, parent: str | None = None, kind: str = "PT-ESSP") -> dict[str, Any]:
    return {"partner_id": partner_id, "parent": parent, "type": kind}


def test_an_agency_is_sent_after_the_one_above_it() -> None:
    partners = [an_agency("unit", "hospital"), an_agency("ward", "unit"), an_agency("hospital", "known-there")]

    assert [each["partner_id"] for each in checked(partners)] == ["hospital", "unit", "ward"]


@pytest.mark.parametrize(
    ("partners", "message"),
    [
        ([an_agency("one", "two"), an_agency("two", "three"), an_agency("three", "one")], "one stands below itself"),
        ([an_agency("one", "one")], "one stands below itself"),
        ([an_agency("one"), an_agency("one")], "one stands twice"),
        ([an_agency("a", kind="PT-COORD"), an_agency("b", kind="PT-COORD")], "exactly one .* has a, b"),
        ([{"type": "PT-ESSP"}], "number 1 has no partner_id"),
    ],
)
def test_a_file_that_no_system_could_take_is_refused_by_the_name_of_the_agency(
    partners: list[dict[str, Any]], message: str
) -> None:
    with pytest.raises(NotADirectory, match=message):
        checked(partners)
