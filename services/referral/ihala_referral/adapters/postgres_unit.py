"""The unit of work over PostgreSQL: what a batch or a request needs is loaded at once and stored at once.

Referrals are locked before they are read, in the order of their ids; events are made when they happen, so that
they carry the trace of their cause, and are written last.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
from ihala_events.intake import RoutingProfile
from ihala_runtime import telemetry
from ihala_runtime.outbox import new_event
from ihala_runtime.postgres import Work

from ihala_referral.adapters.capacity_rows import write_places
from ihala_referral.adapters.case_rows import (
    NewCase,
    blank_case,
    forget_profiles,
    insert_cases,
    new_case,
    put_consent,
    put_languages,
    read_cases,
)
from ihala_referral.adapters.directory_store import SOURCE
from ihala_referral.adapters.household_rows import forget_household, link_household, read_legs, read_others
from ihala_referral.adapters.referral_rows import lock_referrals, put_referrals, read_attempts, referral_of
from ihala_referral.adapters.snapshots import Environment, Snapshot
from ihala_referral.adapters.timer_rows import set_timers
from ihala_referral.domain.attempt import CaseFile, Happenings, Scene
from ihala_referral.domain.case import Consent
from ihala_referral.domain.household import Households
from ihala_referral.domain.referral import Referral
from ihala_referral.domain.routing import World

Lock = Callable[[asyncpg.Connection, Sequence[UUID], Sequence[UUID]], Awaitable[list[asyncpg.Record]]]


class PostgresUnit:
    """caused_by: id of the event that is being handled."""

    def __init__(self, work: Work, now: datetime, snapshot: Snapshot) -> None:
        self.work = work
        self.caused_by: str | None = None
        self._snapshot = snapshot
        world = snapshot.world
        self._households = Households()
        self._scene = Scene(now, world.directory, world.calendar, snapshot.places, self._households)
        self._cases: dict[UUID, CaseFile] = {}
        self._referrals: dict[UUID, Referral] = {}
        self._loaded: set[UUID] = set()
        self._new_cases: list[NewCase] = []
        self._new_consents: dict[UUID, Consent] = {}
        self._withdrawn: list[UUID] = []
        self._corrected: list[UUID] = []
        self._erased: list[UUID] = []
        self._changed: dict[UUID, Referral] = {}

    @property
    def world(self) -> World:
        return self._snapshot.world

    @property
    def scene(self) -> Scene:
        return self._scene

    def case(self, case_id: UUID) -> CaseFile | None:
        return self._cases.get(case_id)

    async def join_household(self, profile: RoutingProfile) -> None:
        await self.flush()  # so that members of the same batch are found
        await link_household(self.work.conn, profile.case_id, [member.case_id for member in profile.household])
        await self._read_households([profile.case_id])

    def add_case(self, profile: RoutingProfile) -> CaseFile:
        case = new_case(profile, self._scene.now)
        self._new_cases.append(case)
        self._cases[profile.case_id] = case.file
        return case.file

    def replace_consent(self, case_id: UUID, consent: Consent) -> None:
        self._new_consents[case_id] = consent
        self._replace_case(replace(self._cases[case_id], consent=consent))

    def correct_languages(
        self, case_id: UUID, languages: Sequence[str] | None, interpreter_needed: bool | None
    ) -> None:
        if languages is not None or interpreter_needed is not None:
            self._corrected.append(case_id)
            self._replace_case(self._cases[case_id].speaking(languages, interpreter_needed))

    def _replace_case(self, file: CaseFile) -> None:
        self._cases[file.case_id] = file
        for referral in self.referrals_of(file.case_id):
            referral.case = file

    def forget_profile(self, case_id: UUID) -> None:
        self._withdrawn.append(case_id)

    def erase_case(self, case_id: UUID) -> None:
        self._erased.append(case_id)

    def referral(self, referral_id: UUID) -> Referral | None:
        return self._referrals.get(referral_id)

    def referrals_of(self, case_id: UUID) -> Sequence[Referral]:
        return [referral for referral in self._referrals.values() if referral.case.case_id == case_id]

    def loaded(self) -> Sequence[Referral]:
        return [self._referrals[referral_id] for referral_id in sorted(self._loaded)]

    def record(self, referral: Referral, happened: Happenings) -> None:
        here = telemetry.current_traceparent()
        if referral.journey is None:
            referral.journey = telemetry.current_journey() or here
        referral_id = referral.referral_id
        self._referrals[referral_id] = self._changed[referral_id] = referral
        self._households.legs[referral_id] = referral.leg
        key, correlation_id = str(referral_id), str(referral.case.case_id)
        for each in happened:
            event = new_event(
                each.kind,
                each.payload,
                source=SOURCE,
                aggregate_id=referral_id,
                sequence=each.sequence,
                key=key,
                time=each.payload.at,
                subject=key,
                correlation_id=correlation_id,
                causation_id=self.caused_by,
                journey=referral.journey,
                made_in=here,
            )
            self.work.record(event)

    async def load(
        self, referral_ids: Sequence[UUID], case_ids: Sequence[UUID] = (), lock: Lock = lock_referrals
    ) -> None:
        """Lock and read these referrals, and all of these cases."""
        if not referral_ids and not case_ids:
            return
        connection = self.work.conn
        rows = await lock(connection, referral_ids, case_ids)
        wanted = sorted({*case_ids, *(row["case_id"] for row in rows)} - self._cases.keys())
        if wanted:
            cases = await read_cases(connection, wanted)
            self._cases |= cases
            await self._read_households([file.case_id for file in cases.values() if file.in_household])
        fresh = [row for row in rows if row["referral_id"] not in self._referrals]
        if fresh:
            await self._read(connection, fresh)

    async def _read_households(self, case_ids: Sequence[UUID]) -> None:
        if not case_ids:
            return
        others = await read_others(self.work.conn, case_ids)
        self._households.others |= others
        members = sorted(frozenset[UUID]().union(*others.values()))
        self._households.legs = await read_legs(self.work.conn, members) | self._households.legs

    async def _read(self, connection: asyncpg.Connection, rows: Sequence[asyncpg.Record]) -> None:
        attempts = await read_attempts(connection, [row["referral_id"] for row in rows])
        for row in rows:
            referral_id = row["referral_id"]
            self._loaded.add(referral_id)
            case = self._cases[row["case_id"]]
            self._referrals[referral_id] = referral_of(row, case, attempts.get(referral_id, []))

    async def flush(self) -> None:
        """Store what changed since the last flush, with the events of it."""
        self._gather()
        await self.work.flush()
        await self._store_the_rare()

    async def close(self) -> None:
        """The same at the end, where new cases and referrals may go with the transaction's last statement."""
        self._gather()
        if any(self._rare):
            await self.flush()

    def _gather(self) -> None:
        writes = self.work.writes
        if self._new_cases:
            insert_cases(writes, self._new_cases)
        if self._changed:
            put_referrals(writes, self._changed.values(), self._snapshot.calendar_version)
            set_timers(writes, self._changed.values(), self._loaded, self._scene.calendar)
        self._new_cases.clear()
        self._changed.clear()

    @property
    def _rare(self) -> tuple[dict[Any, Any] | list[UUID], ...]:
        """What has statements of its own, after the new rows."""
        return self._new_consents, self._corrected, self._withdrawn, self._erased, self._snapshot.places.changed

    async def _store_the_rare(self) -> None:
        connection = self.work.conn
        for case_id, consent in sorted(self._new_consents.items(), key=lambda each: each[0]):
            await put_consent(connection, case_id, consent)
        for case_id in sorted(self._corrected):
            await put_languages(connection, self._cases[case_id])
        if self._withdrawn:
            await forget_profiles(connection, sorted(self._withdrawn))
        for case_id in sorted(self._erased):
            await blank_case(connection, case_id)
            await forget_household(connection, case_id)
        await write_places(connection, self._snapshot.places)
        for stored in self._rare:
            stored.clear()


@asynccontextmanager
async def open_unit(
    work: Work, environment: Environment, referral_ids: Sequence[UUID] = (), case_ids: Sequence[UUID] = ()
) -> AsyncIterator[PostgresUnit]:
    """A unit with these referrals and cases loaded; stored when the block ends without an exception."""
    await work.flush()  # what an earlier unit of this transaction left is read here
    snapshot = await environment.snapshot(work.reading, case_ids)
    unit = PostgresUnit(work, environment.clock.now(), snapshot)
    await unit.load(referral_ids, snapshot.known_cases)
    yield unit
    await unit.close()
