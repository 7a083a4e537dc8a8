"""What it costs to route: CPU a referral, over the sample directory and over a thousand agencies.

Rule: every case is another one (need, commune, age, sex, languages, urgency, facts, minute), drawn with a seed, so that
no memory of an earlier answer helps more than it would in a day's work. Only `route` is timed, case by case.
"""

import argparse
import random
import time
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from statistics import mean, median

from ihala_events.intake import FACTS
from ihala_events.vocabulary import (
    COMMUNES,
    NEEDS,
    AgeBand,
    Channel,
    ConsentBasis,
    PartnerType,
    Sex,
    StatusCode,
    Urgency,
    Vulnerability,
)
from ihala_referral.adapters.shipped_data import load_calendar, load_rules, load_sample_directory
from ihala_referral.domain.calendar import Calendar
from ihala_referral.domain.case import AskedNeed, Case, Consent, ScopeEntry
from ihala_referral.domain.conditions import FactValue
from ihala_referral.domain.directory import Directory, Partner, partner_of
from ihala_referral.domain.routing import World, route
from ihala_referral.domain.rules import in_force

FIRST = datetime(2026, 11, 16, 7, 0, tzinfo=UTC)
DAY_MINUTES = 24 * 60
SPOKEN = (("fr",), ("ar", "fr"), ("ary",), ("wo", "fr"), ("fuf",), ("bm", "fr"), ("en",), ("ha", "en"), ("ln", "fr"))
BOOLEANS = (True, False)
PARTNERS = 1_000


def cases(count: int, seed: int) -> list[Case]:
    draw = random.Random(seed)
    return [a_case(draw) for _ in range(count)]


def a_case(draw: random.Random) -> Case:
    """One to three needs of somebody, received within one day."""
    age = draw.choice(list(AgeBand)).first_year
    asked = tuple(a_need(code, draw) for code in draw.sample(sorted(NEEDS), draw.choice((1, 1, 2, 3))))
    basis = ConsentBasis.CONSENT if age >= 18 else draw.choice((ConsentBasis.GUARDIAN, ConsentBasis.BEST_INTEREST))
    scope = tuple(ScopeEntry(need.need_code, tuple(PartnerType)) for need in asked)
    return Case(
        received_at=FIRST + timedelta(minutes=draw.randrange(DAY_MINUTES)),
        commune=COMMUNES[draw.choice(sorted(COMMUNES))],
        age=age,
        sex=draw.choice(list(Sex)),
        languages=frozenset(draw.choice(SPOKEN)),
        vulnerabilities=frozenset(draw.sample(list(Vulnerability), draw.choice((0, 0, 1, 2)))),
        needs=asked,
        consent=Consent(basis, scope),
        contact_channel=draw.choice(list(Channel)),
    )


def a_need(code: str, draw: random.Random) -> AskedNeed:
    facts = {name: a_fact(name, draw) for name in sorted(FACTS[code]) if draw.random() < 0.5}
    status = draw.choice(list(StatusCode)) if NEEDS[code].status else None
    return AskedNeed(code, draw.choice((None, None, None, *Urgency)), None, facts, status)


def a_fact(name: str, draw: random.Random) -> FactValue:
    match name:
        case "pregnancy_weeks" | "out_of_school_months":
            return draw.randrange(41)
        case "care_window":
            return draw.choice(("open", "closed"))
        case "birth_date":
            return (date(2026, 11, 16) - timedelta(days=draw.randrange(60))).isoformat()
        case "birth_commune_code":
            return draw.choice(sorted(COMMUNES))
        case _:
            return draw.choice(BOOLEANS)


def sample_partners() -> list[Partner]:
    return [partner_of(record) for record in load_sample_directory()]


def many_partners(count: int) -> list[Partner]:
    """The sample and copies of it under other names, without a second coordination cell."""
    partners = sample_partners()
    copied = [partner for partner in partners if partner.type is not PartnerType.COORD]
    copies = count - len(partners)
    return partners + [
        replace(copied[number % len(copied)], partner_id=f"{copied[number % len(copied)].partner_id}-{number}")
        for number in range(copies)
    ]


def microseconds(world: World, asked: list[Case]) -> list[float]:
    """CPU of each case, for each of its referrals."""
    spent = []
    for case in asked:
        begun = time.process_time_ns()
        routed = route(case, case.received_at, world)
        spent.append((time.process_time_ns() - begun) / 1000 / len(routed))
    return spent


def measure(partners: list[Partner], count: int, rounds: int, calendar: Calendar) -> tuple[float, float, float]:
    """Median and mean of the best round, then the mean of a round that begins with an empty memory."""
    rules = in_force((each.rules for each in load_rules()), FIRST.date())
    cold = microseconds(World(rules, Directory.of(partners), calendar, {}), cases(count, seed=1))
    world = World(rules, Directory.of(partners), calendar, {})
    microseconds(world, cases(count, seed=2))  # what the first minutes of a day fill
    best = min((microseconds(world, cases(count, seed=3 + number)) for number in range(rounds)), key=mean)
    return median(best), mean(best), mean(cold)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--cases", type=int, default=10_000)
    arguments.add_argument("--rounds", type=int, default=5)
    given = arguments.parse_args()
    calendar = load_calendar()
    print(f"{given.cases} cases a round, best of {given.rounds}; µs of CPU a referral")
    print("agencies  median   mean   mean from an empty memory")
    for partners in (sample_partners(), many_partners(PARTNERS)):
        typical, average, cold = measure(partners, given.cases, given.rounds, calendar)
        print(f"{len(partners):8}  {typical:6.1f} {average:6.1f}   {cold:6.1f}")


if __name__ == "__main__":
    main()
