"""Applies numbered SQL files once each, in order, under a lock. An applied file never changes."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import asyncpg

RUNTIME_MIGRATIONS = Path(__file__).parent / "migrations"
ONE_AT_A_TIME = 4_191_001  # advisory lock: copies of a service start together

_BOOK = """
CREATE TABLE IF NOT EXISTS schema_migration (
    name text PRIMARY KEY, sha256 text NOT NULL, applied_at timestamptz NOT NULL DEFAULT clock_timestamp())
"""


class ChangedMigration(RuntimeError):
    """A file that was applied has other content now: write a new migration instead."""


async def migrate(connection: asyncpg.Connection, folders: Sequence[Path]) -> list[str]:
    """Apply what is missing, each file in a transaction of its own; the names of those applied now."""
    await connection.execute("SELECT pg_advisory_lock($1)", ONE_AT_A_TIME)
    try:
        await connection.execute(_BOOK)
        rows = await connection.fetch("SELECT name, sha256 FROM schema_migration")
        applied = {row["name"]: row["sha256"] for row in rows}
        return [name for folder in folders for name in await _apply_folder(connection, folder, applied)]
    finally:
        await connection.execute("SELECT pg_advisory_unlock($1)", ONE_AT_A_TIME)


async def _apply_folder(connection: asyncpg.Connection, folder: Path, applied: dict[str, str]) -> list[str]:
    done = []
    for name, sql in _files(folder):
        digest = hashlib.sha256(sql.encode()).hexdigest()
        if applied.get(name, digest) != digest:
            raise ChangedMigration(name)
        if name not in applied:
            await _apply(connection, name, sql, digest)
            done.append(name)
    return done


def _files(folder: Path) -> list[tuple[str, str]]:
    files = sorted(folder.glob("[0-9]*.sql"))
    return [(f"{folder.parent.name}/{file.name}", file.read_text(encoding="utf-8")) for file in files]


async def _apply(connection: asyncpg.Connection, name: str, sql: str, digest: str) -> None:
    async with connection.transaction():
        await connection.execute(sql)
        await connection.execute("INSERT INTO schema_migration (name, sha256) VALUES ($1, $2)", name, digest)
