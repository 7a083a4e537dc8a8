"""Rule sets as rows: the text of each version, never changed once it is there, and who activated which."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

import asyncpg

from ihala_referral.domain.rules import RuleSet

_STORED = """
SELECT s.version, s.valid_from, s.sha256, s.loaded_by, s.seen_at, a.activated_at, a.activated_by
FROM rule_set s LEFT JOIN LATERAL (
    SELECT activated_at, activated_by FROM rule_activation WHERE version = s.version ORDER BY id DESC LIMIT 1
) a ON true
WHERE $1::text IS NULL OR s.version = $1
ORDER BY s.valid_from DESC, s.version DESC
"""


@dataclass(frozen=True, slots=True)
class StoredRules:
    """loaded_by: None for a set that came with the service.  activated_at, activated_by: the last time."""

    version: str
    valid_from: date
    sha256: str
    loaded_by: str | None
    seen_at: datetime
    activated_at: datetime | None
    activated_by: str | None


def digest_of(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


async def stored_rules(connection: asyncpg.Connection, version: str | None = None) -> Sequence[StoredRules]:
    """The newest first; of this version alone if one is given."""
    return [StoredRules(**row) for row in await connection.fetch(_STORED, version)]


async def rule_text(connection: asyncpg.Connection, version: str) -> str | None:
    text: str | None = await connection.fetchval("SELECT content FROM rule_set WHERE version = $1", version)
    return text


async def keep_rules(connection: asyncpg.Connection, rules: RuleSet, text: str, loaded_by: str | None) -> bool:
    """Keep the text under its version; False where another one stands there already."""
    sha256 = digest_of(text)
    await connection.execute(
        "INSERT INTO rule_set (version, valid_from, sha256, content, loaded_by) VALUES ($1, $2, $3, $4, $5)"
        " ON CONFLICT (version) DO NOTHING",
        rules.version,
        rules.valid_from,
        sha256,
        text,
        loaded_by,
    )
    kept = await connection.fetchval("SELECT sha256 FROM rule_set WHERE version = $1", rules.version)
    return bool(kept == sha256)


async def activate_rules(connection: asyncpg.Connection, version: str, by: str, at: datetime) -> None:
    """Every transaction of every copy that begins after this one has ended routes by it."""
    await connection.execute("LOCK TABLE rule_activation IN SHARE ROW EXCLUSIVE MODE")  # the last one to commit counts
    await connection.execute(
        "INSERT INTO rule_activation (version, activated_by, activated_at) VALUES ($1, $2, $3)", version, by, at
    )
