"""What routing reads beside the case, as it stands now: rules, directory, calendar, free places.

Rules, directory and calendar are kept in memory; every transaction asks for their versions first, so all copies of
the service route by the same records as soon as a change has been committed.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import asyncpg
from ihala_runtime.clock import Clock

from ihala_referral.adapters.calendar_rows import read_corrections
from ihala_referral.adapters.capacity_rows import read_places
from ihala_referral.adapters.directory_store import partners_since
from ihala_referral.adapters.programme_rows import read_programmes
from ihala_referral.adapters.rule_rows import rule_text
from ihala_referral.domain.calendar import Calendar
from ihala_referral.domain.capacity import PlaceBook
from ihala_referral.domain.directory import Directory, Partner, partner_of, programme_of
from ihala_referral.domain.routing import World
from ihala_referral.domain.rules import RuleSet, in_force, parse_rule_set

_VERSIONS = """
SELECT (SELECT version FROM directory_version) AS directory, (SELECT version FROM calendar_version) AS calendar,
    (SELECT version FROM rule_activation ORDER BY id DESC LIMIT 1) AS rules,
    EXISTS (SELECT FROM capacity) OR EXISTS (SELECT FROM programme WHERE free IS NOT NULL) AS places_are_counted,
    ARRAY(SELECT case_id FROM case_profile WHERE case_id = ANY($1::uuid[])) AS known_cases
"""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """places: changes made to it are written by the unit of work.  calendar_version: of world.calendar.
    known_cases: those asked about that are here already.  activated_rules: version, None before the first activation.
    """

    world: World
    places: PlaceBook
    calendar_version: int
    known_cases: Sequence[UUID]
    activated_rules: str | None


class Environment:
    """What every transaction of this process shares."""

    def __init__(self, clock: Clock, shipped_rules: Sequence[RuleSet], shipped_calendar: Calendar) -> None:
        self.clock = clock
        self._shipped_rules = shipped_rules
        self._rules = {rules.version: rules for rules in shipped_rules}
        self._shipped_calendar = shipped_calendar
        self._calendar = (-1, shipped_calendar)
        self._directory = (-1, Directory.of(()))
        self._partners: dict[str, tuple[int, Partner]] = {}

    async def snapshot(self, connection: asyncpg.Connection, case_ids: Sequence[UUID] = ()) -> Snapshot:
        """As committed.  Not for a transaction that changed directory or calendar itself: it may be undone."""
        (versions,) = await connection.fetch(_VERSIONS, case_ids)
        calendar = await self._calendar_at(connection, versions["calendar"])
        directory = await self._directory_at(connection, versions["directory"])
        places = await read_places(connection) if versions["places_are_counted"] else PlaceBook()
        rules = await self._rules_at(connection, versions["rules"], calendar)
        world = World(rules, directory, calendar, places)
        return Snapshot(world, places, versions["calendar"], versions["known_cases"], versions["rules"])

    async def rules(self, connection: asyncpg.Connection, version: str) -> RuleSet | None:
        """This version, whether it is in force or not; a version never changes.  None for an unknown one."""
        if version not in self._rules:
            text = await rule_text(connection, version)
            if text is None:
                return None
            self._rules[version] = await asyncio.to_thread(parse_rule_set, text)
        return self._rules[version]

    async def _rules_at(self, connection: asyncpg.Connection, activated: str | None, calendar: Calendar) -> RuleSet:
        """The set that an operator activated, else the one that came with the service and is valid today."""
        activated_rules = await self.rules(connection, activated) if activated else None
        return activated_rules or in_force(self._shipped_rules, calendar.local_date(self.clock.now()))

    async def _calendar_at(self, connection: asyncpg.Connection, version: int) -> Calendar:
        if self._calendar[0] != version:
            corrections = await read_corrections(connection)
            self._calendar = (version, self._shipped_calendar.corrected(corrections))
        return self._calendar[1]

    async def _directory_at(self, connection: asyncpg.Connection, version: int) -> Directory:
        if self._directory[0] != version:
            self._partners = await self._partners_now(connection)
            programmes = map(programme_of, await read_programmes(connection))
            partners = (partner for _, partner in self._partners.values())
            self._directory = (version, Directory.of(partners, programmes))
        return self._directory[1]

    async def _partners_now(self, connection: asyncpg.Connection) -> dict[str, tuple[int, Partner]]:
        """By id, with their versions. Only what has changed is read: of a thousand agencies one changes at a time."""
        known = self._partners
        changed = await partners_since(connection, {partner_id: version for partner_id, (version, _) in known.items()})
        return {
            partner_id: known[partner_id] if record is None else (version, partner_of(record))
            for partner_id, version, record in changed
        }
