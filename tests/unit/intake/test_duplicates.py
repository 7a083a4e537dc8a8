"""Names by their sound, and the score that holds a case: the spellings of the field, never the name itself."""

import hashlib
from typing import Any

import pytest
from ihala_events.intake import IntakeRequest
from ihala_intake.domain.duplicates import HOLD_FROM, PersonKeys, is_suspect, person_keys, suspicion
from ihala_intake.domain.name_skeleton import name_tokens
from pydantic import TypeAdapter
from support.intakes import an_intake

A_CHILD = {"age_band": "6-11", "consent": {**an_intake()["consent"], "basis": "GUARDIAN"}}
PHONE = "+212600000001"


def sounds(name: str) -> set[str]:
    return {token.skeleton for token in name_tokens([name])}


def keyed(sound: bytes) -> int:
    return int.from_bytes(hashlib.sha256(sound).digest()[:8], "big", signed=True)


def a_person(*names: str, phone: str | None = None, **changes: Any) -> PersonKeys | None:
    written = [{"script": "Latn", "value": name, "role": "full"} for name in names]
    fields = {"sex": "F", "age_band": "25-59", "birth_year": 1998, **changes}
    body = an_intake(names=written, received_at="2026-11-24T09:20:00Z", **fields)
    return person_keys(TypeAdapter(IntakeRequest).validate_python(body, strict=False), phone, keyed)


def points(mine: PersonKeys | None, other: PersonKeys | None) -> int:
    assert mine is not None
    assert other is not None
    assert suspicion(mine, other) == suspicion(other, mine)
    return suspicion(mine, other)


@pytest.mark.parametrize(
    "spellings",
    [
        ("Mohamed", "Mohammed", "محمد", "مُحَمَّد", "MOHAMED"),
        ("Diallo", "Jallow", "Jalloh", "ديالو", "Dialló"),
        ("Aïssatou", "Aisatu", "Aissatou"),
        ("Traoré", "Traore", "تراوري"),
        ("Koné", "Kone", "كوني"),
        ("Camara", "Kamara", "كامارا", "كـامـارا"),
        ("Ouattara", "Watara", "واتارا"),
        ("Cheikh", "Sheikh", "شيخ"),
        ("Guèye", "Gueye", "Geye"),
        ("Abdallah", "عبد الله", "Abd Allah"),
        ("Alaoui", "Alawi", "العلوي", "El Alaoui"),
        ("Youssef", "Yusuf", "يوسف"),
        ("Kouyaté", "Kuyateh", "كوياتي"),
        ("Sow", "So", "سو"),
        ("N'Diaye", "Ndiaye", "N’Diaye"),
    ],
)
def test_spellings_of_one_name_sound_alike(spellings: tuple[str, ...]) -> None:
    assert {frozenset(sounds(each)) for each in spellings} == {frozenset(sounds(spellings[0]))}


def test_a_swapped_surname_order_is_the_same_name() -> None:
    assert sounds("Aïssatou Diallo") == sounds("DIALLO Aissatou")


def test_names_of_others_sound_otherwise() -> None:
    names = [
        "Diallo",
        "Diarra",
        "Diawara",
        "Traoré",
        "Touré",
        "Koné",
        "Konaté",
        "Camara",
        "Mamadou",
        "Mohamed",
        "Madou",
    ]

    assert len({frozenset(sounds(name)) for name in names}) == len(names)


def test_the_woman_of_the_commune_and_of_the_association_is_held() -> None:
    commune = a_person("Aïssatou Diallo", phone=PHONE)
    association = a_person("Aisatu Jallow", phone=PHONE, birth_year=1997)

    assert points(commune, association) >= HOLD_FROM


def test_an_arabic_spelling_without_vowels_counts_as_the_latin_one() -> None:
    assert points(a_person("Mohamed Camara", sex="M"), a_person("محمد كامارا", sex="M")) >= HOLD_FROM


@pytest.mark.parametrize(
    ("mine", "other"),
    [
        (a_person("Aïssatou Diallo", phone=PHONE), a_person("Fatou Camara", phone=PHONE)),
        (a_person("Aïssatou Diallo"), a_person("Aïssatou Camara")),
        (a_person("Aïssatou Diallo", phone=PHONE), a_person("Aïssatou Diallo", phone=PHONE, sex="M")),
        (a_person("Aïssatou Diallo", phone=PHONE), a_person("Aïssatou Diallo", phone=PHONE, birth_year=1995)),
        (
            a_person("Aïssatou Diallo", phone=PHONE, birth_year=None),
            a_person("Aïssatou Diallo", phone=PHONE, birth_year=None, **A_CHILD),
        ),
        (a_person("Mohamed Lamine Diallo", sex="M"), a_person("Mohamed Saliou Diallo", sex="M", birth_year=1997)),
    ],
    ids=[
        "a shared handset",
        "one word alike",
        "another sex",
        "three years apart",
        "mother and daughter",
        "two brothers",
    ],
)
def test_another_person_is_not_held(mine: PersonKeys | None, other: PersonKeys | None) -> None:
    assert points(mine, other) < HOLD_FROM


def test_a_missing_year_needs_the_telephone() -> None:
    with_phone = points(
        a_person("Aïssatou Diallo", phone=PHONE), a_person("Aisatu Jallow", phone=PHONE, birth_year=None)
    )
    without = points(a_person("Aïssatou Diallo"), a_person("Aisatu Jallow", birth_year=None))

    assert with_phone >= HOLD_FROM > without


def test_who_has_neither_name_nor_telephone_has_no_keys() -> None:
    assert a_person() is None


def test_two_that_are_alike_share_a_block() -> None:
    mine, other = a_person("Aïssatou Diallo"), a_person("ديالو Aisatu", birth_year=1999)

    assert mine is not None
    assert other is not None
    assert set(mine.blocks) & set(other.blocks)
    assert is_suspect(mine, other)
