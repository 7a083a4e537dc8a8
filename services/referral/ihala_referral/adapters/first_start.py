"""What a start makes sure of: the first admin's key, which calendar counts, and a copy of every shipped rule set."""

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path

from ihala_events.access import CredentialChanged, Role
from ihala_runtime.clock import Clock
from ihala_runtime.logs import logger
from ihala_runtime.postgres import Database

from ihala_referral.adapters.calendar_rows import remember_shipped
from ihala_referral.adapters.credential_rows import announce, find_credential
from ihala_referral.adapters.rule_rows import keep_rules
from ihala_referral.adapters.shipped_data import ShippedRules
from ihala_referral.domain.errors import RuleSetError

_log = logger(__name__)


async def admit_first_admin(database: Database, file: Path | None, clock: Clock) -> None:
    """The file names the key by its hash; a key that was revoked since stays revoked."""
    if file is None:
        return
    given = json.loads(await asyncio.to_thread(file.read_text, encoding="utf-8"))
    record = CredentialChanged(
        credential_id=given["credential_id"],
        sha256=given["sha256"],
        role=Role.ADMIN,
        label="first admin",
        created_at=clock.now(),
    )
    async with database.transaction() as work:
        await work.conn.execute("LOCK TABLE credential IN SHARE ROW EXCLUSIVE MODE")  # copies start together
        if await find_credential(work.conn, record.credential_id) is None:
            await announce(work, record, record.created_at)


async def remember_calendar(database: Database, sha256: str) -> None:
    """Deadlines that count working time follow the calendar of this release from its first start on."""
    async with database.connection() as connection:
        if await remember_shipped(connection, sha256):
            _log.info("calendar of this release", action="count-again")


async def remember_rules(database: Database, shipped: Sequence[ShippedRules]) -> None:
    """A referral keeps the version that chose its agency; the text of each is kept.  Raises RuleSetError."""
    async with database.connection() as connection:
        for each in shipped:
            if not await keep_rules(connection, each.rules, each.text, loaded_by=None):
                raise RuleSetError([f"{each.rules.version}: was kept with another text; give the file a new version"])
