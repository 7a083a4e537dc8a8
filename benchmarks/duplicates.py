"""How well suspected duplicates are found: precision and recall on generated pairs, false holds in a population, CPU.

Rule: the spellings are written by hand, as people write them, never made by the rules that are measured. Everybody
here is invented. The pairs are seeded: the same command gives the same figures.
"""

import argparse
import json
import random
import secrets
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from ihala_events.intake import IntakeRequest
from ihala_events.vocabulary import AgeBand
from ihala_intake.adapters.sealing import Sealer
from ihala_intake.domain.duplicates import PersonKeys, is_suspect, person_keys
from pydantic import TypeAdapter

# Each line one name: the spellings of Latin script, then of Arabic. The first are the commoner names.
GIVEN_F = [
    "Fatoumata Fatoumatta Fatumata|فاطوماتا", "Aïssatou Aisatu Aissatou Aïssata|أيساتو عيساتو",
    "Mariama Maryama Mariyama|مرياما",
    "Fatima Fatma Fathima|فاطمة", "Kadiatou Kadijatou Khadiatou|كادياتو",
    "Aminata Aminatta Aminat|أميناتا", "Awa Hawa Hawwa|أوا حواء",
    "Aïcha Aisha Aicha|عائشة", "Khadija Khadidja Hadija|خديجة",
    "Zeinab Zaynab Zainab|زينب", "Oumou Umu Oumu|أومو", "Binta Bintou|بينتا",
]  # fmt: skip
GIVEN_M = [
    "Mohamed Mohammed Muhammad|محمد", "Mamadou Mamadu Mahamadou|مامادو",
    "Ibrahima Ibrahim Brahima|إبراهيما إبراهيم",
    "Ousmane Usman Ousman Osman|عثمان",
    "Abdoulaye Abdulay Abdoulay|عبدولاي", "Moussa Musa Mousa|موسى", "Alpha Alfa|ألفا",
    "Youssouf Yusuf Youssef|يوسف", "Cheikh Sheikh Cheick|شيخ", "Amadou Amadu Ahmadou|أمادو",
    "Souleymane Sulayman Soulaimane|سليمان",
    "Abdallah Abdalla Abdellah|عبد_الله",
    "Issa Isa Aissa|عيسى", "Saliou Saliu Salyou|ساليو",
]  # fmt: skip
FAMILY = [
    "Diallo Jallow Jalloh|ديالو", "Bah Ba|باه با",
    "Barry Barrie Bari|باري", "Traoré Traore Trawore|تراوري",
    "Camara Kamara|كامارا كمارا",
    "Koné Kone Konneh|كوني", "Touré Toure Turay|توري",
    "Keïta Keita Kaita|كيتا", "Sow So|سو",
    "Coulibaly Kulibaly Koulibali|كوليبالي",
    "Cissé Cisse Sisay|سيسي", "Sylla Silla|سيلا",
    "Ouattara Watara Wattara|واتارا",
    "Diarra Jarra Diara|ديارا", "Konaté Konate Konateh|كوناتي",
    "Condé Conde Konde|كوندي", "Ndiaye N'Diaye Njie|انجاي", "Diop Jobe Joof|ديوب", "Fofana Fofanah|فوفانا",
    "Kouyaté Kouyate Kuyateh|كوياتي",
    "Sissoko Sissokho Cissokho|سيسوكو", "Sanogo Sanoko|سانوغو",
    "Dembélé Dembele Dembelleh|ديمبيلي",
    "Guèye Gueye Gaye|غي", "Kaba Cabba|كابا",
    "Bangoura Bangura|بانغورا", "Soumah Suma|سوما", "Doumbia Dumbuya Doumbouya|دومبيا",
    "Sidibé Sidibe Sidibeh|سيديبي",
    "Mensah Mensa|منساه",
]  # fmt: skip
FIRST_YEAR, LAST_YEAR = 1975, 2007


@dataclass(frozen=True, slots=True)
class Person:
    """``given`` and ``family``: lines of the tables. ``phone``: the last digits."""

    given: tuple[str, ...]
    family: str
    sex: str
    born: int
    phone: int


@dataclass(frozen=True, slots=True)
class Written:
    """How one desk wrote a person down."""

    name: str
    sex: str | None
    born: int | None
    phone: int | None


class Desk:
    """Writes people down as desks do: other spellings, other orders, estimated years."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def a_person(self) -> Person:
        sex = self.random.choice("FM")
        table = GIVEN_F if sex == "F" else GIVEN_M
        given = [self._common(table)]
        if self.random.random() < 0.25:
            given.append(self._common([each for each in table if each not in given]))
        born = self.random.randint(FIRST_YEAR, LAST_YEAR)
        return Person(tuple(given), self._common(FAMILY), sex, born, self.random.randrange(100_000))

    def _common(self, table: Sequence[str]) -> str:
        """The first of a table are the commoner, as 1/rank."""
        return self.random.choices(table, [1 / rank for rank in range(1, len(table) + 1)])[0]

    def write(self, person: Person, script: str = "Latn") -> Written:
        words = [self._spelled(each, script) for each in (*person.given, person.family)]
        if self.random.random() < 0.3:
            words = [words[-1], *words[:-1]]
        return Written(" ".join(words), person.sex, person.born, person.phone)

    def _spelled(self, line: str, script: str) -> str:
        latin, arabic = line.split("|")
        return self.random.choice((arabic if script == "Arab" else latin).split()).replace("_", " ")

    def again(self, person: Person) -> tuple[str, Written]:
        """The same person, at another desk: (what happened, how it was written)."""
        kind = self.random.choices(SAME_KINDS, [30, 20, 10, 10, 8, 8, 7, 4, 3])[0]
        other = self.write(person, "Arab" if kind == "other script" else "Latn")
        return kind, self._changed(kind, other, person)

    def _changed(self, kind: str, other: Written, person: Person) -> Written:
        match kind:
            case "year estimated":
                return replace(other, born=person.born + self.random.choice([-2, -1, 1, 2]))
            case "other telephone":
                return replace(other, phone=self.random.randrange(100_000))
            case "no telephone":
                return replace(other, phone=None)
            case "no year":
                return replace(other, born=None)
            case "second name left out":
                return replace(self.write(replace(person, given=person.given[:1])), phone=other.phone)
            case "a letter wrong":
                return replace(other, name=self._mistyped(other.name))
            case "other telephone, year estimated":
                return replace(
                    other, phone=self.random.randrange(100_000), born=person.born + self.random.choice([-1, 1])
                )
            case _:
                return other

    def _mistyped(self, name: str) -> str:
        place = self.random.randrange(1, len(name) - 1)
        return name[:place] + self.random.choice("bdfgklmnrst") + name[place + 1 :]

    def another(self, person: Person) -> tuple[str, Written]:
        """Somebody else, the harder to tell apart the better: (who, how it was written)."""
        kind = self.random.choice(OTHER_KINDS)
        other = self.a_person()
        while other.given == person.given and other.family == person.family:
            other = self.a_person()
        match kind:
            case "shared handset":
                other = replace(other, phone=person.phone)
            case "sibling, same handset":
                years = self.random.choice([-3, -2, 2, 3])
                other = replace(other, family=person.family, phone=person.phone, born=person.born + years)
            case "same name, years apart":
                years = self.random.choice([-1, 1]) * self.random.randint(3, 12)
                other = replace(person, born=person.born + years, phone=other.phone)
            case "same name, near year":
                other = replace(person, born=person.born + self.random.choice([-2, -1, 0, 1, 2]), phone=other.phone)
            case "same family name":
                other = replace(other, family=person.family, born=person.born)
            case _:
                pass
        return kind, self.write(other)


SAME_KINDS = (
    "other spelling", "other script", "year estimated", "other telephone", "no telephone", "no year",
    "second name left out", "a letter wrong", "other telephone, year estimated",
)  # fmt: skip
OTHER_KINDS = (
    "anybody", "shared handset", "sibling, same handset", "same name, years apart", "same name, near year",
    "same family name",
)  # fmt: skip

_INTAKE = TypeAdapter(IntakeRequest)


def intake_of(written: Written) -> IntakeRequest:
    body = {
        "desk_id": "baom-agadir", "received_at": "2026-11-24T09:20:00Z", "commune_code": "AGD-AGADIR",
        "age_band": _band(written.born), "birth_year": written.born, "sex": written.sex,
        "languages": [{"tag": "fr", "level": "good"}], "needs": [{"need_code": "HEA-PHC"}],
        "names": [{"script": "Latn", "value": written.name, "role": "full"}], "safe_contact": {"channel": "NONE"},
        "staff": ["officer-1"],
    }  # fmt: skip
    return _INTAKE.validate_json(json.dumps(body))


def _band(born: int | None) -> str:
    age = 30 if born is None else 2026 - born
    return next(band.value for band in AgeBand if band.first_year <= age <= band.last_year)


def keys_of(written: Written, sealer: Sealer) -> PersonKeys:
    phone = None if written.phone is None else f"+2126000{written.phone:05d}"
    keys = person_keys(intake_of(written), phone, sealer.person_key)
    assert keys is not None
    return keys


def is_held(mine: PersonKeys, other: PersonKeys) -> bool:
    """As the service does: compared only where a block is shared."""
    return bool(set(mine.blocks) & set(other.blocks)) and is_suspect(mine, other)


def measured_pairs(pairs: int, desk: Desk, sealer: Sealer) -> dict[str, object]:
    """Half of one person, half of two."""
    same, others = Counter[tuple[str, bool]](), Counter[tuple[str, bool]]()
    for number in range(pairs):
        person = desk.a_person()
        first = keys_of(desk.write(person), sealer)
        kind, written = desk.again(person) if number % 2 else desk.another(person)
        (same if number % 2 else others)[kind, is_held(first, keys_of(written, sealer))] += 1
    found, missed = _sum(same, True), _sum(same, False)
    false = _sum(others, True)
    return {
        "pairs": pairs,
        "precision": round(found / (found + false), 4),
        "recall": round(found / (found + missed), 4),
        "held_of_one_person": _by_kind(same, SAME_KINDS),
        "held_of_two_persons": _by_kind(others, OTHER_KINDS),
    }


def _sum(counts: Counter[tuple[str, bool]], held: bool) -> int:
    return sum(count for (_, was_held), count in counts.items() if was_held is held)


def _by_kind(counts: Counter[tuple[str, bool]], kinds: Sequence[str]) -> dict[str, str]:
    return {kind: f"{counts[kind, True]} of {counts[kind, True] + counts[kind, False]}" for kind in kinds}


def measured_population(people: int, desk: Desk, sealer: Sealer) -> dict[str, object]:
    """So many different people in one window: how many are held for somebody else."""
    known: dict[int, list[PersonKeys]] = defaultdict(list)
    held = 0
    for _ in range(people):
        keys = keys_of(desk.write(desk.a_person()), sealer)
        held += any(is_suspect(keys, other) for block in keys.blocks for other in known[block])
        for block in keys.blocks:
            known[block].append(keys)
    return {"people": people, "held_falsely": held, "share": round(held / people, 4)}


def measured_cpu(cases: int, desk: Desk, sealer: Sealer) -> dict[str, object]:
    intakes = [intake_of(desk.write(desk.a_person(), desk.random.choice(["Latn", "Arab"]))) for _ in range(cases)]

    def once() -> float:
        start = time.process_time()
        for number, intake in enumerate(intakes):
            person_keys(intake, f"+2126000{number:05d}", sealer.person_key)
        return (time.process_time() - start) / cases * 1e6

    return {"cases": cases, "best_of_5_microseconds_a_case": round(min(_repeated(once, 5)), 1)}


def _repeated(measure: Callable[[], float], times: int) -> list[float]:
    return [measure() for _ in range(times)]


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--pairs", type=int, default=10_000)
    options.add_argument("--people", type=int, nargs="*", default=[300, 1_000, 3_000])
    options.add_argument("--seed", type=int, default=6)
    given = options.parse_args()
    desk, sealer = Desk(given.seed), Sealer(secrets.token_bytes(32))
    result = {
        "pairs": measured_pairs(given.pairs, desk, sealer),
        "population": [measured_population(people, desk, sealer) for people in given.people],
        "cpu": measured_cpu(2_000, desk, sealer),
    }
    json.dump(result, sys.stdout, indent=2, ensure_ascii=False)
    print()


if __name__ == "__main__":
    main()
