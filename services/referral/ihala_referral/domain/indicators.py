"""What the pilot reports: indicators I01-I14 over the referrals of a quarter, as they may be published.

Referrals are counted, not people.  Rule: the cuts below are all there are, and nothing is published that
`suppression` did not pass.  Restricted needs are in no quarter and no cut: they are counted apart, by year.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from enum import StrEnum
from itertools import product
from statistics import median
from typing import Any
from uuid import UUID

from ihala_events import catalogue
from ihala_events.vocabulary import (
    COMMUNES,
    NEEDS,
    RESTRICTED_NEEDS,
    DeclineReason,
    Outcome,
    PartnerType,
    Sex,
    Urgency,
)

from ihala_referral.domain import suppression
from ihala_referral.domain.attempt import Alert
from ihala_referral.domain.calendar import Calendar
from ihala_referral.domain.choice import Gap
from ihala_referral.domain.referral.case_changes import CONSENT_WITHDRAWN, SAME_PERSON
from ihala_referral.domain.suppression import Key, Shown, rate

UNKNOWN = "unknown"
"""Not asked, or gone with the person."""
NOBODY = "nobody"
"""No agency has been asked."""
AGES = {
    **dict.fromkeys(("0-4", "5"), "0-5"),
    "6-11": "6-11",
    **dict.fromkeys(("12-15", "16-17"), "12-17"),
    **{band: band for band in ("18-24", "25-59", "60+")},
}
"""Bands of the intake, merged."""
SEXES = (Sex.F, Sex.M, Sex.X)
LANG_GAP = "LANG_GAP"
GAPS = (Gap.OUT_OF_AREA, Gap.NO_SUCH_SERVICE, LANG_GAP)
SERVED = (Outcome.RECEIVED, Outcome.PARTIAL)
MOST_QUARTERS = 8


class Cut(StrEnum):
    """How a quarter may be taken apart.  Each dimension stands in one cut alone: two that share one could be
    laid over each other."""

    WHOLE = ""
    SEX_AGE = "sex,age"
    COMMUNE = "commune"
    NEED = "need"
    URGENCY = "urgency"
    SERVICE = "service"

    @property
    def dimensions(self) -> tuple[str, ...]:
        """Names of the values of a line; needs stand within their sector."""
        return ("sector", "need") if self is Cut.NEED else tuple(self.split(",")) if self else ()


class PeriodRefused(ValueError):
    """end: it is `to` that cannot be."""

    def __init__(self, reason: str, *, end: bool = False) -> None:
        super().__init__(reason)
        self.end = end


@dataclass(frozen=True, slots=True)
class Period:
    """Local days from `first` up to, not including, `end`: a quarter or a year."""

    first: date
    end: date

    @property
    def label(self) -> str:
        """`2026-Q4`, `2026`."""
        return str(self.first.year) if self.is_year else f"{self.first.year}-Q{(self.first.month + 2) // 3}"

    @property
    def is_year(self) -> bool:
        return self.end == date(self.first.year + 1, self.first.month, 1)


def quarters(first: date, end: date) -> list[Period]:
    """The quarters from `first` up to `end`.  Raises PeriodRefused."""
    for day, is_end in ((first, False), (end, True)):
        if day.day != 1 or day.month % 3 != 1:
            raise PeriodRefused("must be the first day of a quarter", end=is_end)
    found: list[Period] = []
    while first < end and len(found) <= MOST_QUARTERS:
        following = date(first.year + (first.month + 2) // 12, (first.month + 2) % 12 + 1, 1)
        found.append(Period(first, following))
        first = following
    if not 0 < len(found) <= MOST_QUARTERS:
        raise PeriodRefused("must lie after `from`, at most two years", end=True)
    return found


def whole_years(first: date, end: date) -> list[Period]:
    """The calendar years that lie in it."""
    years = [Period(date(year, 1, 1), date(year + 1, 1, 1)) for year in range(first.year, end.year)]
    return [year for year in years if first <= year.first and year.end <= end]


@dataclass(frozen=True, slots=True)
class AskedAgency:
    """An attempt.  reason_code: of one that was declined."""

    service: PartnerType
    sent_at: datetime
    ack_due: datetime
    answered_at: datetime | None
    reason_code: str | None


@dataclass(frozen=True, slots=True)
class Event:
    """kind: its type.  at: by the clock of the deadlines."""

    kind: str
    at: datetime
    attempt_no: int
    reason_code: str | None


READ_EVENTS = (
    catalogue.ACCEPTED,
    catalogue.WAITLISTED,
    catalogue.WITHDRAWN,
    catalogue.GAP_RECORDED,
    catalogue.ESCALATED,
    catalogue.DEADLINE_MISSED,
    catalogue.DELETION_REQUESTED,
    catalogue.DELETION_CONFIRMED,
)
"""What is counted of the event log."""


@dataclass(frozen=True, slots=True)
class Counted:
    """A referral as it is counted: codes and times.  sex, age_band, commune_code: None once the person is gone."""

    case_id: UUID
    need_code: str
    urgency: Urgency
    sex: str | None
    age_band: str | None
    commune_code: str | None
    received_at: datetime
    contact_due: datetime
    contacted_at: datetime | None
    outcome_code: str | None
    waiting: bool
    language_gap: bool
    asked: Sequence[AskedAgency]
    events: Sequence[Event]

    def key(self, cut: Cut) -> Key:
        match cut:
            case Cut.WHOLE:
                return ()
            case Cut.SEX_AGE:
                sex = self.sex if self.sex in SEXES else UNKNOWN
                return (sex, AGES.get(self.age_band or "", UNKNOWN))
            case Cut.COMMUNE:
                return (self.commune_code if self.commune_code in COMMUNES else UNKNOWN,)
            case Cut.NEED:
                return (NEEDS[self.need_code].sector, self.need_code)
            case Cut.URGENCY:
                return (self.urgency,)
            case Cut.SERVICE:
                return (self.asked[-1].service if self.asked else NOBODY,)

    def first(self, kind: catalogue.EventType, reason_code: str | None = None) -> Event | None:
        """The first event of this kind, and for this reason if one is given."""
        return next(iter(self.all(kind, reason_code)), None)

    def all(self, kind: catalogue.EventType, reason_code: str | None = None) -> list[Event]:
        return [each for each in self.events if each.kind == kind.type and reason_code in (None, each.reason_code)]

    @property
    def first_due(self) -> datetime:
        """When the first agency had to answer: a silence that only lengthened its time counts as one."""
        missed = [each.at for each in self.all(catalogue.DEADLINE_MISSED, Alert.ACK_DUE) if each.attempt_no == 1]
        return min([self.asked[0].ack_due, *missed])

    @property
    def feedback_at(self) -> datetime | None:
        """The first sign of any agency."""
        signs = [each.answered_at for each in self.asked if each.answered_at] + [self.contacted_at]
        return min((sign for sign in signs if sign is not None), default=None)


@dataclass(slots=True)
class Tally:
    """What a line of a table is made of.  counts: by measure.  samples: of hours, days, numbers."""

    counts: Counter[str] = field(default_factory=Counter)
    samples: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def add(self, measured: "Measured") -> None:
        self.counts.update(measured.counts)
        for name, value in measured.samples:
            self.samples[name].append(value)

    def mean(self, name: str, *, known: bool) -> float | None:
        values = self.samples[name]
        return rate(sum(values), len(values), known=known)

    def median(self, name: str, *, known: bool) -> float | None:
        return self._of(name, known, median)

    def p90(self, name: str, *, known: bool) -> float | None:
        """The smallest value that nine in ten do not exceed."""
        return self._of(name, known, lambda values: sorted(values)[math.ceil(0.9 * len(values)) - 1])

    def _of(self, name: str, known: bool, figure: Any) -> float | None:
        values = self.samples[name]
        return round(figure(values), 1) if known and len(values) >= suppression.SMALLEST_DENOMINATOR else None


@dataclass(frozen=True, slots=True)
class Measured:
    """What one referral adds to each line it stands in."""

    counts: Sequence[str]
    samples: Sequence[tuple[str, float]]


BREAKDOWNS = (
    *(f"declined:{reason}" for reason in DeclineReason),
    *(f"gap:{gap}" for gap in GAPS),
)
COUNTS = (
    "sent",
    "waitlisted",
    "waiting",
    "offers_lapsed",
    "withdrawn",
    "deletions_requested",
    "deletions_confirmed",
    *BREAKDOWNS,
)
"""Measures that are published as numbers; the others are parts of a rate."""


def measured(counted: Counted, calendar: Calendar) -> Measured:
    counts, samples = ["received"], list(_contact_times(counted, calendar))
    if counted.asked:
        counts += ["sent", *_answers(counted)]
        samples.append(("reroutes", len(counted.asked) - 1))
    if accepted := counted.first(catalogue.ACCEPTED):
        counts += ["accepted", *(["contact_on_time"] if _contact_on_time(counted) else [])]
        samples += [("attempts", accepted.attempt_no), ("more_than_one", accepted.attempt_no > 1)]
    if counted.outcome_code in SERVED:
        counts.append("served")
    counts += [f"declined:{each.reason_code}" for each in counted.asked if each.reason_code in list(DeclineReason)]
    counts += [f"gap:{gap}" for gap in GAPS if counted.first(catalogue.GAP_RECORDED, gap)]
    counts += [f"gap:{LANG_GAP}"] if counted.language_gap else []
    for part in (_waiting(counted), _rights(counted)):
        counts += part.counts
        samples += part.samples
    return Measured(counts, samples)


def _answers(counted: Counted) -> Iterator[str]:
    first, due, feedback = counted.asked[0], counted.first_due, counted.feedback_at
    if first.answered_at is not None and first.answered_at <= due:
        yield "on_time"
    if feedback is None or feedback > due:
        yield "silent_1x"
    if feedback is None or feedback > first.sent_at + 2 * (due - first.sent_at):
        yield "silent_2x"


def _contact_on_time(counted: Counted) -> bool:
    return counted.contacted_at is not None and counted.contacted_at <= counted.contact_due


def _contact_times(counted: Counted, calendar: Calendar) -> Iterator[tuple[str, float]]:
    if counted.contacted_at is not None:
        yield "contact_hours", _hours(counted.contacted_at - counted.received_at)
        yield "contact_working_hours", _hours(calendar.worked(counted.received_at, counted.contacted_at))


def _hours(span: timedelta) -> float:
    return span / timedelta(hours=1)


def _waiting(counted: Counted) -> Measured:
    listed, accepted = counted.first(catalogue.WAITLISTED), counted.first(catalogue.ACCEPTED)
    counts = ["waitlisted"] if listed else []
    counts += ["waiting"] if counted.waiting else []
    counts += ["offers_lapsed"] * len(counted.all(catalogue.ESCALATED, Alert.OFFER_LAPSED))
    waited = [("wait_days", _days(accepted.at - listed.at))] if listed and accepted and accepted.at >= listed.at else []
    return Measured(counts, waited)


def _rights(counted: Counted) -> Measured:
    """Withdrawals of the consent, deletions, and who had asked for the same before."""
    counts = ["withdrawn"] if counted.first(catalogue.WITHDRAWN, CONSENT_WITHDRAWN) else []
    counts += ["repeated"] if counted.first(catalogue.WITHDRAWN, SAME_PERSON) else []
    asked = {each.attempt_no: each.at for each in counted.all(catalogue.DELETION_REQUESTED)}
    done = {each.attempt_no: each.at for each in counted.all(catalogue.DELETION_CONFIRMED)}
    counts += ["deletions_requested"] * len(asked) + ["deletions_confirmed"] * len(done)
    return Measured(
        counts, [("deletion_days", _days(done[number] - asked[number])) for number in asked if number in done]
    )


def _days(span: timedelta) -> float:
    return span / timedelta(days=1)


class Figures:
    """Takes the referrals of a period in, one by one, and gives what may be published of them."""

    def __init__(self, calendar: Calendar) -> None:
        self._calendar = calendar
        self._cuts: dict[Cut, defaultdict[Key, Tally]] = {cut: defaultdict(Tally) for cut in Cut}
        self._restricted: defaultdict[Key, Tally] = defaultdict(Tally)
        self._cases: set[UUID] = set()

    def add(self, counted: Counted) -> None:
        found = measured(counted, self._calendar)
        if counted.need_code in RESTRICTED_NEEDS:
            _add(self._restricted, (counted.need_code,), found)
            return
        self._cases.add(counted.case_id)
        for cut, lines in self._cuts.items():
            _add(lines, counted.key(cut), found)

    def of_quarter(self, information_only: int) -> dict[str, list[dict[str, Any]]]:
        """Lines by cut.  information_only: people who were informed and gave no consent."""
        cuts = {cut.value: _lines(cut.dimensions, _cells(cut, self._cuts[cut]), self._cuts[cut]) for cut in Cut}
        intakes, informed = _alone(len(self._cases)), _alone(information_only)
        (whole,) = cuts[Cut.WHOLE]
        received = self._cuts[Cut.WHOLE][()].counts["received"]
        per_intake = rate(received, len(self._cases), known=isinstance(intakes, int))
        whole["I01"] = {"intakes": intakes, "information_only": informed, "referrals_per_intake": per_intake}
        whole["I13"] |= {"refused": informed}
        return cuts

    def of_restricted_needs(self) -> list[dict[str, Any]]:
        """For the whole pilot and a year: by need, uncrossed."""
        published: dict[str, dict[Key, Shown]] = {
            name: suppression.suppressed(
                suppression.flat({code: self._restricted[(code,)].counts[name] for code in sorted(RESTRICTED_NEEDS)}),
                suppression.SMALLEST_SHOWN_RESTRICTED,
                restricted=True,
            )
            for name in COUNTS
            if name not in BREAKDOWNS
        }
        return [_line(("need",), key, published, self._restricted[key], {}) for key in published["sent"]]


def _add(lines: defaultdict[Key, Tally], key: Key, found: Measured) -> None:
    """To its line, and to each sum it stands in."""
    for each in set(product(*((value, None) for value in key))):
        lines[each].add(found)


def _cells(cut: Cut, lines: Mapping[Key, Tally]) -> dict[str, dict[Key, Shown]]:
    """Numbers by measure and line.  Reasons and gaps are a dimension of their own: two more would be three."""
    names = [name for name in COUNTS if cut is not Cut.SEX_AGE or name not in BREAKDOWNS]
    return {name: _suppressed(cut, name, lines) for name in names}


def _suppressed(cut: Cut, name: str, lines: Mapping[Key, Tally]) -> dict[Key, Shown]:
    def count(*key: str) -> int:
        return lines[key].counts[name] if key in lines else 0

    match cut:
        case Cut.WHOLE:
            return {(): _alone(count())}
        case Cut.SEX_AGE:
            keys = product((*SEXES, UNKNOWN), (*dict.fromkeys(AGES.values()), UNKNOWN))
            return suppression.suppressed(suppression.crossed({key: count(*key) for key in keys}))
        case Cut.NEED:
            needs = [(NEEDS[code].sector, code) for code in NEEDS if code not in RESTRICTED_NEEDS]
            return suppression.suppressed(suppression.nested({key: count(*key) for key in needs}))
        case Cut.COMMUNE:
            values: Iterable[str] = (*COMMUNES, UNKNOWN)
        case Cut.URGENCY:
            values = Urgency
        case Cut.SERVICE:
            values = (*PartnerType, NOBODY)
    return suppression.suppressed(suppression.flat({value: count(value) for value in values}))


def _alone(count: int) -> Shown:
    """A number that stands in no table."""
    return f"<{suppression.SMALLEST_SHOWN}" if 0 < count < suppression.SMALLEST_SHOWN else count


def _lines(
    dimensions: tuple[str, ...], published: Mapping[str, Mapping[Key, Shown]], lines: defaultdict[Key, Tally]
) -> list[dict[str, Any]]:
    whole = tuple(None for _ in dimensions)
    compared = _equity(lines[whole], published["sent"][whole]) if "need" not in dimensions else {}
    return [_line(dimensions, key, published, lines[key], compared) for key in published["sent"]]


def _line(
    dimensions: tuple[str, ...],
    key: Key,
    published: Mapping[str, Mapping[Key, Shown]],
    tally: Tally,
    compared: Mapping[str, float | None],
) -> dict[str, Any]:
    """One line as it is published; `of` names its values, without those it sums over."""
    numbers = {name: cells[key] for name, cells in published.items()}
    known, counts = isinstance(numbers["sent"], int), tally.counts
    line: dict[str, Any] = {
        "of": {name: value for name, value in zip(dimensions, key, strict=True) if value is not None},
        "I02": {"sent": numbers["sent"]},
        "I03": {"rate": rate(counts["on_time"], counts["sent"], known=known)},
        "I04": {"rate": rate(counts["accepted"], counts["sent"], known=known), **_broken_down("declined", numbers)},
        "I05": {
            "at_1x": rate(counts["silent_1x"], counts["sent"], known=known),
            "at_2x": rate(counts["silent_2x"], counts["sent"], known=known),
        },
        "I06": {
            "median_hours": tally.median("contact_hours", known=known),
            "p90_hours": tally.p90("contact_hours", known=known),
            "median_working_hours": tally.median("contact_working_hours", known=known),
            "p90_working_hours": tally.p90("contact_working_hours", known=known),
        },
        "I07": {"rate": rate(counts["contact_on_time"], counts["accepted"], known=known)},
        "I08": {"rate": rate(counts["served"], counts["sent"], known=known)},
        "I09": {
            "reroutes_mean": tally.mean("reroutes", known=known),
            "attempts_to_acceptance_mean": tally.mean("attempts", known=known),
            "attempts_more_than_one": tally.mean("more_than_one", known=known),
        },
        "I10": {name: numbers[name] for name in ("waitlisted", "waiting", "offers_lapsed")}
        | {"median_wait_days": tally.median("wait_days", known=known)},
        "I11": _broken_down("gap", numbers).get("gap", {}),
        "I12": {"share": rate(counts["repeated"], counts["received"], known=known)},
        "I13": {name: numbers[name] for name in ("withdrawn", "deletions_requested", "deletions_confirmed")}
        | {"median_deletion_days": tally.median("deletion_days", known=known)},
    }
    mine = _equity(tally, numbers["sent"])
    if compared and line["of"]:
        line["I14"] = {name: _ratio(mine[name], compared[name]) for name in mine}
    return line


def _broken_down(prefix: str, numbers: Mapping[str, Shown]) -> dict[str, dict[str, Shown]]:
    parts = {name.partition(":")[2]: shown for name, shown in numbers.items() if name.startswith(f"{prefix}:")}
    return {prefix: parts} if parts else {}


def _equity(tally: Tally, sent: Shown) -> dict[str, float | None]:
    known, counts = isinstance(sent, int), tally.counts
    return {
        "I04": rate(counts["accepted"], counts["sent"], known=known),
        "I06": tally.median("contact_hours", known=known),
        "I08": rate(counts["served"], counts["sent"], known=known),
    }


def _ratio(mine: float | None, whole: float | None) -> float | None:
    """None where either is not published, or there is nothing to compare with."""
    return round(mine / whole, 2) if mine is not None and whole else None
