"""Repository, tests and demonstration hold invented data only (P26)."""

import pytest
from support.real_data import allowed, in_the_repository, looks_real, tracked_files

# Written in two parts, so that this file itself holds none of them.
REAL = [
    ("phone", "+2126" + "61234599"),
    ("phone", "06 61" + " 23 45 99"),
    ("phone", "00212" + "528234599"),
    ("phone", "+33 6 12" + " 34 56 78"),
    ("e-mail", "fatou.diallo@" + "gmail.com"),
    ("e-mail", "contact@" + "commune-agadir.ma"),
    ("identity", "JB" + "123456"),
    ("identity", "K1" + "30012345"),
    ("identity", "805-" + "15C01234"),
    ("identity", "805-" + "00012345"),
    ("coordinates", "30.42" + "018, -9.59815"),
    ("secret", "-----BEGIN EC" + " PRIVATE KEY-----"),
    ("secret", "ihala_0123456789abcdef_" + "0" * 64),
    ("secret", "AKIA" + "ABCDEFGHIJKLMNOP"),
]
INVENTED = [
    "+212600000001",
    "0600000001",
    "00212600000001",
    "desk@commune.example",
    "someone@example.org",
    "01930000-0000-7000-8000-0000000000aa",
    "2026-11-16T10:15:00Z",
    "case AG-7K3F-9QX2",
    "1.234, 2.5",
]


@pytest.mark.parametrize(("kind", "value"), REAL)
def test_what_looks_real_is_found(kind: str, value: str) -> None:
    found = list(looks_real(f'before "{value}" after\n'))

    assert kind in {each.kind for each in found}


@pytest.mark.parametrize("value", INVENTED)
def test_what_is_kept_for_tests_is_not(value: str) -> None:
    assert list(looks_real(f'before "{value}" after\n')) == []


def test_nothing_in_the_repository_looks_real() -> None:
    found = in_the_repository()

    assert sorted(each for each in found if (each.kind, each.value) not in allowed()) == []
    assert set(allowed()) == {(each.kind, each.value) for each in found if (each.kind, each.value) in allowed()}


def test_every_file_is_looked_at() -> None:
    files = set(tracked_files())

    assert {"README.md", "deploy/local/ihala_local/demo_cases.json", "tests/support/intakes.py"} <= files
