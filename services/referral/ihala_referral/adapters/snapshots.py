"""What routing reads beside the case, as it stands now: directory, calendar, free places.

Directory and calendar are kept in memory; every transaction asks for their versions first, so all copies of the
service route by the same records as soon as a change has been committed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import asyncpg
from ihala_runtime.clock import Clock

from ihala_referral.adapters.calendar_rows import read_corrections
from ihala_referral.adapters.capacity_rows import read_places
from ihala_referral.adapters.directory_store import read_partners
from ihala_referral.domain.calendar import Calendar
from ihala_referral.domain.capacity import PlaceBook
from ihala_referral.domain.directory import Directory, partner_of
from ihala_referral.domain.routing import World
from ihala_referral.domain.rules import RuleSet

_VERSIONS = """
SELECT (SELECT version FROM directory_version) AS directory, (SELECT version FROM calendar_version) AS calendar,
    EXISTS (SELECT FROM capacity) AS places_are_counted,
    ARRAY(SELECT case_id FROM case_profile WHERE case_id = ANY($1::uuid[])) AS known_cases
"""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """places: changes made to it are written by the unit of work.  calendar_version: of world.calendar.
    known_cases: those asked about that are here already."""

    world: World
    places: PlaceBook
    calendar_version: int
    known_cases: Sequence[UUID]


class Environment:
    """What every transaction of this process shares."""

    def __init__(self, clock: Clock, rules: RuleSet, shipped_calendar: Calendar) -> None:
        self.clock = clock
        self.rules = rules
        self._shipped_calendar = shipped_calendar
        self._calendar = (-1, shipped_calendar)
        self._directory = (-1, Directory.of(()))

    async def snapshot(self, connection: asyncpg.Connection, case_ids: Sequence[UUID] = ()) -> Snapshot:
        """As committed.  Not for a transaction that changed directory or calendar itself: it may be undone."""
        (versions,) = await connection.fetch(_VERSIONS, case_ids)
        calendar = await self._calendar_at(connection, versions["calendar"])
        directory = await self._directory_at(connection, versions["directory"])
        places = await read_places(connection) if versions["places_are_counted"] else PlaceBook()
        world = World(self.rules, directory, calendar, places)
        return Snapshot(world, places, versions["calendar"], versions["known_cases"])

    async def _calendar_at(self, connection: asyncpg.Connection, version: int) -> Calendar:
        if self._calendar[0] != version:
            corrections = await read_corrections(connection)
            self._calendar = (version, self._shipped_calendar.corrected(corrections))
        return self._calendar[1]

    async def _directory_at(self, connection: asyncpg.Connection, version: int) -> Directory:
        if self._directory[0] != version:
            records = await read_partners(connection)
            self._directory = (version, Directory.of(partner_of(record) for record in records))
        return self._directory[1]
