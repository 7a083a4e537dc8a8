"""What a start makes sure of: the first admin's key, and a copy of the rule set that is in force."""

import asyncio
import hashlib
import json
from pathlib import Path

from ihala_events.access import CredentialChanged, Role
from ihala_runtime.clock import Clock
from ihala_runtime.postgres import Database

from ihala_referral.adapters.credential_rows import announce, find_credential
from ihala_referral.adapters.shipped_data import rule_texts
from ihala_referral.domain.rules import RuleSet


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


async def remember_rules(database: Database, rules: RuleSet) -> None:
    """A referral keeps the version that chose its agency; the text of that version is kept here."""
    content = rule_texts()[f"{rules.version}.toml"]
    async with database.connection() as connection:
        await connection.execute(
            "INSERT INTO rule_set (version, valid_from, sha256, content) VALUES ($1, $2, $3, $4)"
            " ON CONFLICT (version) DO NOTHING",
            rules.version,
            rules.valid_from,
            hashlib.sha256(content.encode()).hexdigest(),
            content,
        )
