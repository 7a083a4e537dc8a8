"""Units of work for the referral service's tests: a fake in memory, and PostgreSQL; both pass one suite."""

import copy
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol
from uuid import UUID

import ihala_referral
from ihala_events.intake import ConsentScope, Facts, ProfileConsent, ProfileNeed, RoutingProfile
from ihala_events.vocabulary import AgeBand, Channel, ConsentBasis, PartnerType, Sex
from ihala_referral.adapters.case_rows import new_case
from ihala_referral.adapters.directory_store import put_partner
from ihala_referral.adapters.postgres_unit import open_unit
from ihala_referral.adapters.shipped_data import load_sample_directory
from ihala_referral.adapters.snapshots import Environment
from ihala_referral.domain.attempt import CaseFile, Happenings, Scene
from ihala_referral.domain.capacity import PlaceBook
from ihala_referral.domain.case import Consent
from ihala_referral.domain.household import Households
from ihala_referral.domain.referral import Referral
from ihala_referral.domain.routing import World
from ihala_referral.handlers.unit_of_work import UnitOfWork
from ihala_runtime.clock import ManualClock
from ihala_runtime.identifiers import uuid7
from ihala_runtime.migrate import RUNTIME_MIGRATIONS, migrate
from ihala_runtime.postgres import Database
from support.referral_world import at, calendar, rules, sample_directory


class Store(Protocol):
    """Where units are opened.  A unit whose block fails stores nothing."""

    clock: ManualClock

    def unit(
        self, referral_ids: Sequence[UUID] = (), case_ids: Sequence[UUID] = ()
    ) -> AbstractAsyncContextManager[UnitOfWork]: ...

    async def events(self, referral_id: UUID) -> list[str]: ...

    async def kept_profile(self, case_id: UUID) -> RoutingProfile | None:
        """What is kept for trying other rules."""
        ...


@dataclass
class FakeUnit:
    """Implements UnitOfWork over copies of what a FakeStore holds."""

    world: World
    scene: Scene
    cases: dict[UUID, CaseFile]
    referrals: dict[UUID, Referral]
    profiles: dict[UUID, RoutingProfile]
    happened: list[tuple[UUID, str]] = field(default_factory=list)

    async def join_household(self, profile: RoutingProfile) -> None:
        others = self.scene.households.others
        for member in profile.household:
            others[profile.case_id] = others.get(profile.case_id, frozenset()) | {member.case_id}
            others[member.case_id] = others.get(member.case_id, frozenset()) | {profile.case_id}

    def case(self, case_id: UUID) -> CaseFile | None:
        return self.cases.get(case_id)

    def add_case(self, profile: RoutingProfile) -> CaseFile:
        self.cases[profile.case_id] = new_case(profile, self.scene.now).file
        self.profiles[profile.case_id] = profile
        return self.cases[profile.case_id]

    def correct_languages(
        self, case_id: UUID, languages: Sequence[str] | None, interpreter_needed: bool | None
    ) -> None:
        self.cases[case_id] = self.cases[case_id].speaking(languages, interpreter_needed)
        for referral in self.referrals_of(case_id):
            referral.case = self.cases[case_id]

    def replace_consent(self, case_id: UUID, consent: Consent) -> None:
        self.cases[case_id] = replace(self.cases[case_id], consent=consent)
        for referral in self.referrals_of(case_id):
            referral.case = self.cases[case_id]

    def forget_profile(self, case_id: UUID) -> None:
        self.profiles.pop(case_id, None)

    def erase_case(self, case_id: UUID) -> None:
        self.forget_profile(case_id)
        case = self.cases[case_id]
        consent = Consent(case.consent.basis)
        self.cases[case_id] = replace(case, languages=(), recorded_by=frozenset(), consent=consent)

    def referral(self, referral_id: UUID) -> Referral | None:
        return self.referrals.get(referral_id)

    def referrals_of(self, case_id: UUID) -> Sequence[Referral]:
        return [each for each in self.referrals.values() if each.case.case_id == case_id]

    def loaded(self) -> Sequence[Referral]:
        return list(self.referrals.values())

    def record(self, referral: Referral, happened: Happenings) -> None:
        self.referrals[referral.referral_id] = referral
        self.scene.households.legs[referral.referral_id] = referral.leg
        self.happened += [(referral.referral_id, each.kind.type) for each in happened]


class FakeStore:
    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self._cases: dict[UUID, CaseFile] = {}
        self._referrals: dict[UUID, Referral] = {}
        self._profiles: dict[UUID, RoutingProfile] = {}
        self._happened: list[tuple[UUID, str]] = []
        self._places = PlaceBook()
        self._households = Households()

    @asynccontextmanager
    async def unit(self, referral_ids: Sequence[UUID] = (), case_ids: Sequence[UUID] = ()) -> AsyncIterator[UnitOfWork]:
        world = World(rules(), sample_directory(), calendar(), self._places)
        scene = Scene(self.clock.now(), sample_directory(), calendar(), self._places, self._households)
        cases, referrals = copy.deepcopy((self._cases, self._referrals))
        for referral in referrals.values():
            referral.case = cases[referral.case.case_id]
        unit = FakeUnit(world, scene, cases, referrals, dict(self._profiles))
        yield unit
        self._cases, self._referrals, self._profiles = unit.cases, unit.referrals, unit.profiles
        self._happened += unit.happened

    async def events(self, referral_id: UUID) -> list[str]:
        return [kind for each, kind in self._happened if each == referral_id]

    async def kept_profile(self, case_id: UUID) -> RoutingProfile | None:
        return self._profiles.get(case_id)


class PostgresStore:
    def __init__(self, database: Database, clock: ManualClock) -> None:
        self.clock = clock
        self.database = database
        self.environment = Environment(clock, [rules()], calendar())

    @asynccontextmanager
    async def unit(self, referral_ids: Sequence[UUID] = (), case_ids: Sequence[UUID] = ()) -> AsyncIterator[UnitOfWork]:
        async with (
            self.database.transaction() as work,
            open_unit(work, self.environment, referral_ids, case_ids) as unit,
        ):
            yield unit

    async def events(self, referral_id: UUID) -> list[str]:
        async with self.database.connection() as connection:
            rows = await connection.fetch(
                "SELECT type FROM event WHERE aggregate_id = $1 ORDER BY sequence", referral_id
            )
        return [row["type"] for row in rows]

    async def kept_profile(self, case_id: UUID) -> RoutingProfile | None:
        async with self.database.connection() as connection:
            text = await connection.fetchval("SELECT profile::text FROM case_profile WHERE case_id = $1", case_id)
        return RoutingProfile.model_validate_json(text) if text else None


@asynccontextmanager
async def a_postgres_store(dsn: str, now: str = "2026-11-16 10:15") -> AsyncIterator[PostgresStore]:
    """Over a fresh database with the sample directory."""
    database = Database(dsn, "test")
    connection = await database.dedicated()
    await migrate(connection, [RUNTIME_MIGRATIONS, Path(ihala_referral.__file__).parent / "migrations"])
    await connection.close()
    await database.connect()
    await enter_sample_directory(database)
    yield PostgresStore(database, ManualClock(at(now)))
    await database.close()


async def enter_sample_directory(database: Database) -> None:
    async with database.transaction() as work:
        for record in load_sample_directory():
            work.record(await put_partner(work.conn, record, datetime.fromisoformat("2026-11-01T08:00:00+00:00")))


def a_profile(*codes: str, received: str = "2026-11-16 10:15", **changes: Any) -> RoutingProfile:
    """A woman of 25 in Agadir who agrees to every agency."""
    case_id = uuid7()
    wanted = codes or ("HEA-MAT",)
    profile = RoutingProfile(
        case_id=case_id,
        intake_id=uuid7(),
        case_ref=f"AG-{case_id.hex[-8:-4].upper()}-{case_id.hex[-4:].upper()}",
        desk_id="baom-agadir",
        received_at=at(received),
        commune_code="AGD-AGADIR",
        age_band=AgeBand.ADULT,
        sex=Sex.F,
        language_tags=["fr"],
        needs=[ProfileNeed(need_id=uuid7(), need_code=code, facts=Facts()) for code in wanted],
        consent=a_consent(*wanted),
        contact_channel=Channel.SMS,
        recorded_by=["recorder"],
        dataref=f"http://intake.test/v1/cases/{case_id}",
    )
    return profile.model_copy(update=changes)


def a_consent(*codes: str, types: Sequence[PartnerType] = tuple(PartnerType)) -> ProfileConsent:
    scope = [ConsentScope(need_code=code, partner_types=list(types)) for code in codes]
    return ProfileConsent(consent_id=uuid7(), basis=ConsentBasis.CONSENT, scope=scope)
