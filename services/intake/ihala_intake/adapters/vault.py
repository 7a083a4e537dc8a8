"""The vault as handlers see it: the audit trail and the opening of sealed files."""

from dataclasses import dataclass
from uuid import UUID

from ihala_runtime.postgres import Database

from ihala_intake.adapters import audit
from ihala_intake.adapters.keys import CaseKeys
from ihala_intake.adapters.sealing import Sealed, Sealer
from ihala_intake.handlers.open_file import Reading


@dataclass(frozen=True, slots=True)
class PostgresAudit:
    database: Database

    async def commit(self, reading: Reading) -> None:
        async with self.database.transaction() as work:
            await audit.append(
                work.conn,
                at=reading.at,
                actor=reading.actor,
                action=reading.action,
                case_id=reading.case_id,
                referral_id=reading.referral_id,
            )


@dataclass(frozen=True, slots=True)
class SealedVault:
    keys: CaseKeys
    sealer: Sealer

    async def open(self, case_id: UUID, sealed: bytes) -> bytes | None:
        wrapped = await self.keys.get(case_id)
        return None if wrapped is None else self.sealer.open(case_id, Sealed(sealed, wrapped))

    async def seal_again(self, case_id: UUID, private: bytes) -> bytes | None:
        wrapped = await self.keys.get(case_id)
        return None if wrapped is None else self.sealer.reseal(case_id, wrapped, private)
