"""The directory as routing reads it: an immutable, indexed snapshot of the agencies.

Owns which agencies stand where in a chain.  A change makes a new snapshot; one that
is in use never changes, so a batch of referrals sees one directory.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from typing import Any, NamedTuple, TypeVar

from ihala_events.directory import PartnerRecord, ProgrammeRecord
from ihala_events.vocabulary import (
    COMMUNES,
    NEAR_PREFECTURES,
    NEEDS,
    Commune,
    Jurisdiction,
    PartnerType,
    Sex,
    needs_of,
    spoken,
)

from ihala_referral.domain.errors import DirectoryError, NoCoordinationCell
from ihala_referral.domain.rules import ANY_NEED, RuleSet, Step

EVERYWHERE = "*"
BYPASSED_NAMED = 5  # of each reason, the explanation names at most these
OTHERS_ASKED = 2  # a `T+` step is the next two
REMEMBERED_CHAINS = 20_000  # rows x communes x languages of a day; beyond that the memory starts anew

REMEMBERED_CHOICES = 200  # consents and days that one chain met

# Groups: the first that is not empty gives a step's candidates.
COVERS, SAME_PREFECTURE, NEAR_PREFECTURE, ANYWHERE = 1, 2, 3, 4


class Agreed(NamedTuple):
    """A data-sharing agreement as routing reads it."""

    need_codes: frozenset[str]
    since: date
    until: date


@dataclass(frozen=True, slots=True)
class Partner:
    """One agency.  communes: codes, prefectures or `*`.  closures: first and last closed local day."""

    partner_id: str
    type: PartnerType
    communes: frozenset[str]
    need_codes: frozenset[str]
    languages: frozenset[str]
    on_call: bool
    jurisdiction: Jurisdiction
    has_transfer_ref: bool
    agreements: tuple[Agreed, ...]
    active: tuple[date, date]
    closures: tuple[tuple[date, date], ...] = ()
    stopped: bool = False

    def is_active(self, day: date) -> bool:
        return self.active[0] <= day <= self.active[1]

    def has_agreement(self, need_code: str, day: date) -> bool:
        return any(need_code in each.need_codes and each.since <= day <= each.until for each in self.agreements)

    def closed_throughout(self, first: date, last: date) -> bool:
        """One closure covers every day from `first` to `last`."""
        return any(begins <= first and last <= ends for begins, ends in self.closures)

    def serves(self, need_code: str) -> bool:
        return need_code == ANY_NEED or need_code in self.need_codes


def partner_of(record: PartnerRecord) -> Partner:
    """What routing needs of a directory record."""
    return Partner(
        partner_id=record.partner_id,
        type=record.type,
        communes=frozenset(record.communes),
        need_codes=frozenset(record.need_codes),
        languages=frozenset(record.languages),
        on_call=record.on_call,
        jurisdiction=record.jurisdiction,
        has_transfer_ref=bool(record.transfer_ref),
        agreements=tuple(
            Agreed(needs_of(each.purposes), each.since, each.until or date.max) for each in record.agreements
        ),
        active=(record.active_from, record.active_until or date.max),
        closures=tuple((closure.first_day, closure.last_day) for closure in record.closures),
        stopped=record.stopped is not None,
    )


@dataclass(frozen=True, slots=True)
class Programme:
    """A pilot initiative as routing reads it.  ages: first years of the bands; empty ages and sexes: everybody."""

    programme_id: str
    partner_id: str
    need_codes: frozenset[str]
    communes: frozenset[str]
    ages: frozenset[int]
    sexes: frozenset[Sex]
    since: date
    until: date

    def is_for(self, age: int, sex: Sex, commune: Commune, day: date) -> bool:
        return (
            self.since <= day <= self.until
            and not self.communes.isdisjoint((commune.code, commune.prefecture, EVERYWHERE))
            and (not self.ages or age in self.ages)
            and (not self.sexes or sex in self.sexes)
        )


def programme_of(record: ProgrammeRecord) -> Programme:
    return Programme(
        programme_id=record.programme_id,
        partner_id=record.partner_id,
        need_codes=frozenset(record.need_codes),
        communes=frozenset(record.communes),
        ages=frozenset(band.first_year for band in record.age_bands),
        sexes=frozenset(record.sexes),
        since=record.since,
        until=record.until or date.max,
    )


PLACES_OF_PROGRAMMES = "programme:"


class Link(NamedTuple):
    """One place of a chain.  serves: the need this agency is asked for.  programme_id: whose place it would be."""

    partner_id: str
    serves: str
    programme_id: str | None = None

    @property
    def counted_as(self) -> tuple[str, str]:
        """Where its free places are counted: by agency and need, or by programme."""
        if self.programme_id is None:
            return self.partner_id, self.serves
        return PLACES_OF_PROGRAMMES + self.programme_id, ""


class PassedOver(StrEnum):
    """Why an agency of a step's type is no candidate: another place, another need, not active on that day."""

    COVERAGE = "coverage"
    NEED = "need"
    VALIDITY = "validity"


@dataclass(frozen=True, slots=True)
class Bypassed:
    """Agencies that are no candidates for one reason.  partner_ids: some of the `count`."""

    reason: PassedOver
    count: int
    partner_ids: tuple[str, ...]


Key = TypeVar("Key")
Value = TypeVar("Value")


class Memory(dict[Key, Value]):
    """Answers found so far; it starts anew when it holds `most`, because days pass."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self._most = most

    def __setitem__(self, key: Key, value: Value) -> None:
        if len(self) >= self._most:
            self.clear()
        super().__setitem__(key, value)


@dataclass(frozen=True, slots=True)
class Chain:
    """Every candidate in order, and who of the steps' types is none.  may_close: some have closures.
    choices: remembered, for choice.py alone."""

    links: tuple[Link, ...]
    bypassed: tuple[Bypassed, ...]
    may_close: bool
    choices: "Memory[Any, Any]" = field(default_factory=lambda: Memory(REMEMBERED_CHOICES), repr=False, compare=False)


class Standing(NamedTuple):
    """How near an agency stands to a commune; smaller is nearer."""

    group: int
    order: int
    near: int


class Place(NamedTuple):
    """Where a step is looked for, for whom and when.  languages: as `Directory.heard` says them."""

    commune: str
    languages: frozenset[str]
    day: date
    far: bool


ChainKey = tuple[tuple[Step, ...], str, Place]


@dataclass(frozen=True, slots=True)
class Directory:
    """partners: by id.  chains: remembered answers, for choice.chain_of alone."""

    partners: Mapping[str, Partner]
    _by_type: Mapping[PartnerType, tuple[Partner, ...]] = field(repr=False)
    programmes: tuple[Programme, ...] = ()
    chains: "Memory[ChainKey, Chain]" = field(default_factory=lambda: Memory(REMEMBERED_CHAINS), repr=False)
    _stand: dict[tuple[PartnerType, str], tuple[tuple[Standing, Partner], ...]] = field(
        default_factory=dict, repr=False
    )
    _heard: "Memory[tuple[tuple[Step, ...], frozenset[str]], frozenset[str]]" = field(
        default_factory=lambda: Memory(REMEMBERED_CHAINS), repr=False
    )

    @classmethod
    def of(cls, partners: Iterable[Partner], programmes: Iterable[Programme] = ()) -> "Directory":
        by_id = {partner.partner_id: partner for partner in sorted(partners, key=lambda each: each.partner_id)}
        by_type = {kind: tuple(partner for partner in by_id.values() if partner.type is kind) for kind in PartnerType}
        return cls(by_id, by_type, tuple(sorted(programmes, key=lambda each: each.programme_id)))

    def type_of(self, partner_id: str) -> PartnerType | None:
        partner = self.partners.get(partner_id)
        return partner.type if partner else None

    def is_stopped(self, partner_id: str) -> bool:
        partner = self.partners.get(partner_id)
        return partner is not None and partner.stopped

    def offers(self, need_code: str, age: int, sex: Sex, commune: Commune, day: date) -> tuple[Link, ...]:
        """The places of pilot initiatives that such a person may have for this need, in the order of their ids."""
        return tuple(
            Link(each.partner_id, need_code, each.programme_id)
            for each in self.programmes
            if need_code in each.need_codes
            and each.is_for(age, sex, commune, day)
            and each.partner_id in self.partners
            and self.partners[each.partner_id].is_active(day)
        )

    def coordination(self, day: date) -> Partner:
        """The deployer's own cell, which ends every chain."""
        for partner in self._by_type[PartnerType.COORD]:
            if partner.is_active(day):
                return partner
        raise NoCoordinationCell

    def of_step(self, step: Step, need_code: str, place: Place) -> list[Partner]:
        """Candidates of a step, in order.  For a `T+` step every other agency, the caller takes two."""
        serving = [
            (at, partner)
            for at, partner in self._standings(step.partner_type, place.commune)
            if partner.serves(need_code) and partner.is_active(place.day)
        ]
        admitted = _admitted(step, serving, far=place.far)
        if place.languages:
            admitted.sort(key=lambda each: (each[0], spoken(each[1].languages).isdisjoint(place.languages)))
        return [partner for _, partner in admitted]

    def _standings(self, kind: PartnerType, commune: str) -> tuple[tuple[Standing, Partner], ...]:
        """Every agency of a type as it stands to a commune, the nearest first, equals by id."""
        found = self._stand.get((kind, commune))
        if found is None:
            stands = [(standing_of(partner, COMMUNES[commune]), partner) for partner in self._by_type[kind]]
            found = self._stand[kind, commune] = tuple(sorted(stands, key=lambda each: (each[0], each[1].partner_id)))
        return found

    def heard(self, steps: tuple[Step, ...], languages: frozenset[str]) -> frozenset[str]:
        """Of these languages what tells the agencies of the steps apart, as `spoken`; empty where all are alike."""
        found = self._heard.get((steps, languages))
        if found is None:
            found = self._heard[steps, languages] = self._tells_apart(steps, languages)
        return found

    def _tells_apart(self, steps: tuple[Step, ...], languages: frozenset[str]) -> frozenset[str]:
        mine = spoken(languages)
        theirs = {spoken(partner.languages) for step in steps for partner in self._by_type[step.partner_type]}
        if all(not mine.isdisjoint(each) for each in theirs):
            return frozenset()
        return mine.intersection(frozenset().union(*theirs))

    def bypassed(
        self, steps: tuple[Step, ...], need_code: str, links: Collection[str], day: date
    ) -> tuple[Bypassed, ...]:
        """Agencies of the steps' types that are no candidates, by the test that took them furthest."""
        reasons: dict[str, PassedOver] = {}
        for step in steps:
            wanted = wanted_need(step, need_code)
            for partner in self._by_type[step.partner_type]:
                if partner.partner_id not in links:
                    reason = _passed_over(partner, wanted, day)
                    before = reasons.get(partner.partner_id, reason)
                    reasons[partner.partner_id] = min(reason, before)  # as their codes stand in the alphabet
        found = {reason: sorted(each for each in reasons if reasons[each] is reason) for reason in PassedOver}
        return tuple(Bypassed(reason, len(ids), tuple(ids[:BYPASSED_NAMED])) for reason, ids in found.items() if ids)


def _passed_over(partner: Partner, need_code: str, day: date) -> PassedOver:
    if not partner.is_active(day):
        return PassedOver.VALIDITY
    return PassedOver.COVERAGE if partner.serves(need_code) else PassedOver.NEED


def standing_of(partner: Partner, commune: Commune) -> Standing:
    near = min(
        (index for index, code in enumerate(commune.near) if code in partner.communes), default=len(commune.near)
    )
    for order, name in enumerate((commune.code, commune.prefecture, EVERYWHERE)):
        if name in partner.communes:
            return Standing(COVERS, order, near)
    prefectures = {name.split("-")[0] for name in partner.communes}
    if commune.prefecture in prefectures:
        return Standing(SAME_PREFECTURE, 0, near)
    for order, prefecture in enumerate(NEAR_PREFECTURES.get(commune.prefecture, ())):
        if prefecture in prefectures:
            return Standing(NEAR_PREFECTURE, order, near)
    return Standing(ANYWHERE, 0, near)


Stands = list[tuple[Standing, Partner]]


def _admitted(step: Step, serving: Stands, *, far: bool) -> Stands:
    if step.named_commune:
        return [each for each in serving if each[0][:2] == (COVERS, 0)]
    if step.others:
        return [each for each in serving if each[0].group in (SAME_PREFECTURE, NEAR_PREFECTURE)]
    nearest = serving[0][0].group if serving else ANYWHERE
    if nearest > SAME_PREFECTURE and not far:
        return []
    return [each for each in serving if each[0].group == nearest]


def check_directory(partners: Iterable[Partner]) -> None:
    """Refuse what no directory may hold.  Raises DirectoryError."""
    cells = [partner.partner_id for partner in partners if partner.type is PartnerType.COORD]
    if len(cells) > 1:
        raise DirectoryError(f"exactly one coordination cell may exist, found {', '.join(sorted(cells))}")


def directory_warnings(directory: Directory, rules: RuleSet, day: date) -> list[str]:
    """Steps of rows without an agency in an inside commune, urgent first steps without one on call."""
    inside = [commune for commune in COMMUNES.values() if commune.is_inside]
    warnings: dict[str, None] = {}
    for row in rules.rows:
        for code in row.needs if len(row.needs) < len(NEEDS) else ():
            urgent = row.default_urgency(code).rank <= 1
            for position, step in enumerate(row.chain):
                for commune in inside:
                    place = Place(commune.code, frozenset(), day, "far" in row.flags or row.urgency == "U0")
                    found = directory.of_step(step, wanted_need(step, code), place)
                    if not found and not step.others:
                        warnings[f"{row.row_id} {step.partner_type} for {code}: none for {commune.code}"] = None
                    elif urgent and position == 0 and not any(partner.on_call for partner in found):
                        warnings[f"{row.row_id} {code}: nobody on call for {commune.code}"] = None
    return list(warnings)


def unprintable(text: str) -> bool:
    """Holds a control character, NUL among them."""
    return any(ord(character) < 32 or ord(character) == 127 for character in text)


def wanted_need(step: Step, need_code: str) -> str:
    return step.serves or need_code
