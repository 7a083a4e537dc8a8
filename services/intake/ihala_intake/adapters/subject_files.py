"""Gathers what is held of one person, for the person: the file is opened as any reading is, and written down first."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg
from ihala_events.intake import ConsentScope, IntakeRequest
from ihala_events.vocabulary import ConsentBasis, ConsentMode
from ihala_runtime.postgres import Database

from ihala_intake.adapters.cases import CaseFile
from ihala_intake.domain.subject_file import HeldConsent, PastReading, Receiver, SubjectFile
from ihala_intake.handlers.open_file import Erased, OpenFile, Reading


@dataclass(frozen=True, slots=True)
class SubjectFiles:
    database: Database
    open_file: OpenFile
    pseudonymise_after: timedelta
    delete_after: timedelta

    async def gather(self, file: CaseFile, actor: str, now: datetime) -> SubjectFile:
        intake = await self._opened(file, Reading(actor, "export", file.case_id, now))
        async with self.database.connection() as connection:
            consents = await _consents(connection, file.case_id)
            receivers = await _receivers(connection, file.case_id)
            readings = await _readings(connection, file.case_id)
        return SubjectFile(
            case_ref=file.case_ref,
            desk_id=file.desk_id,
            received_at=file.received_at,
            erased_at=file.erased_at,
            intake=intake,
            consents=consents,
            receivers=receivers,
            readings=readings,
            pseudonymise_after=self.pseudonymise_after,
            delete_after=self.delete_after,
            made_at=now,
        )

    async def _opened(self, file: CaseFile, reading: Reading) -> IntakeRequest | None:
        try:
            return await self.open_file(reading, file.sealed)
        except Erased:
            return None


async def _consents(connection: asyncpg.Connection, case_id: UUID) -> list[HeldConsent]:
    rows = await connection.fetch(
        "SELECT basis, mode, text_version, scope, recorded_at, withdrawn_at, withdrawn_needs FROM consent"
        " WHERE case_id = $1 ORDER BY recorded_at, consent_id",
        case_id,
    )
    return [
        HeldConsent(
            basis=ConsentBasis(row["basis"]),
            mode=ConsentMode(row["mode"]),
            text_version=row["text_version"],
            scope=[ConsentScope.model_validate(entry, strict=False) for entry in row["scope"]],
            recorded_at=row["recorded_at"],
            withdrawn_at=row["withdrawn_at"],
            withdrawn_needs=row["withdrawn_needs"],
        )
        for row in rows
    ]


async def _receivers(connection: asyncpg.Connection, case_id: UUID) -> list[Receiver]:
    rows = await connection.fetch(
        "SELECT referral_id, need_code, partner_id, partner_type FROM addressee WHERE case_id = $1"
        " ORDER BY need_code, referral_id",
        case_id,
    )
    return [Receiver(**row) for row in rows]


async def _readings(connection: asyncpg.Connection, case_id: UUID) -> list[PastReading]:
    rows = await connection.fetch("SELECT at, actor, action FROM audit WHERE case_id = $1 ORDER BY id", case_id)
    return [PastReading(**row) for row in rows]
