"""Answers to moves, kept by caller and Idempotency-Key: a repeated call gets the same answer, once more."""

import hashlib
from dataclasses import dataclass
from typing import Any

import asyncpg

KEEP_DAYS = 7


@dataclass(frozen=True, slots=True)
class Call:
    credential_id: str
    key: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: dict[str, Any]


class KeyReused(Exception):
    """The key was used for another call."""


def fingerprint_of(path: str, body: bytes) -> str:
    return hashlib.sha256(path.encode() + b"\n" + body).hexdigest()


async def earlier_answer(connection: asyncpg.Connection, call: Call) -> Answer | None:
    """The answer given before, or None: then the key is this transaction's.  Raises KeyReused."""
    mine = await connection.fetchval(
        "INSERT INTO idempotent_request (credential_id, key, fingerprint) VALUES ($1, $2, $3)"
        " ON CONFLICT DO NOTHING RETURNING true",
        call.credential_id,
        call.key,
        call.fingerprint,
    )
    if mine:
        return None
    row = await connection.fetchrow(
        "SELECT fingerprint, status, response FROM idempotent_request WHERE credential_id = $1 AND key = $2",
        call.credential_id,
        call.key,
    )
    if row is None or row["fingerprint"] != call.fingerprint:
        raise KeyReused
    return Answer(row["status"], row["response"])


async def keep_answer(connection: asyncpg.Connection, call: Call, answer: Answer) -> None:
    await connection.execute(
        "UPDATE idempotent_request SET status = $3, response = $4 WHERE credential_id = $1 AND key = $2",
        call.credential_id,
        call.key,
        answer.status,
        answer.body,
    )


async def forget_answers(connection: asyncpg.Connection) -> None:
    await connection.execute(
        "DELETE FROM idempotent_request WHERE created_at < clock_timestamp() - make_interval(days => $1)", KEEP_DAYS
    )
