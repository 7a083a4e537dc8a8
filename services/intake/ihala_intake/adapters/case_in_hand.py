"""A case locked in PostgreSQL, and which referral is addressed to whom, as handlers see them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from ihala_events.catalogue import EventType
from ihala_events.intake import ConsentRequest, staff_digest
from ihala_events.wire import Payload
from ihala_runtime.outbox import new_event
from ihala_runtime.postgres import Database, Work

from ihala_intake.adapters import addressees, agreements, audit, cases, duplicates
from ihala_intake.adapters.blanking import blank_case
from ihala_intake.adapters.cases import CaseFile
from ihala_intake.adapters.duplicates import Suspected, Verdict
from ihala_intake.adapters.intake_store import SOURCE
from ihala_intake.domain.duplicates import PersonKeys
from ihala_intake.handlers.decide_duplicate import DuplicateDecision
from ihala_intake.handlers.disclose import Addressed


@dataclass(frozen=True, slots=True)
class LockedCase:
    work: Work
    file: CaseFile

    @property
    def case_id(self) -> UUID:
        return self.file.case_id

    @property
    def case_ref(self) -> str:
        return self.file.case_ref

    async def replace_consent(self, consent_id: UUID, given: ConsentRequest, at: datetime) -> None:
        await cases.replace_consent(self.work.conn, self.case_id, consent_id, given, at)

    async def withdraw_consent(self, consent_id: UUID, need_codes: list[str] | None, at: datetime) -> None:
        await cases.withdraw_consent(self.work.conn, consent_id, need_codes, at)

    @property
    def sealed(self) -> bytes:
        return self.file.sealed

    async def replace_file(self, sealed: bytes, person: PersonKeys | None) -> None:
        await cases.replace_file(self.work.conn, self.case_id, sealed)
        file = self.file
        await duplicates.renew_keys(self.work.conn, file.case_id, file.desk_id, file.received_at, person)

    async def decide(self, others: Sequence[Suspected], decision: DuplicateDecision, actor: str, at: datetime) -> None:
        verdict = Verdict(decision.decision, at, actor, staff_digest(self.case_id, decision.staff))
        await duplicates.decide(self.work.conn, self.case_id, [each.other_case_id for each in others], verdict)

    async def release(self) -> None:
        await duplicates.release(self.work.conn, self.case_id)

    @property
    def erased_at(self) -> datetime | None:
        return self.file.erased_at

    async def blank(self, at: datetime) -> None:
        await blank_case(self.work.conn, self.case_id, at)

    async def write_down(self, actor: str, action: str, at: datetime) -> None:
        await audit.append(self.work.conn, at=at, actor=actor, action=action, case_id=self.case_id)

    async def record(self, kind: EventType, payload: Payload, at: datetime) -> None:
        event = new_event(
            kind,
            payload,
            source=SOURCE,
            aggregate_id=self.case_id,
            sequence=await cases.next_sequence(self.work.conn, self.case_id),
            key=str(self.case_id),
            time=at,
            correlation_id=str(self.case_id),
            journey=self.file.journey,
        )
        self.work.record(event)


@dataclass(frozen=True, slots=True)
class PostgresAddressing:
    database: Database

    async def find(self, case_ref: str, referral_id: UUID, partner_id: str) -> Addressed | None:
        async with self.database.connection() as connection:
            addressee = await addressees.of_referral(connection, referral_id)
            file = await cases.find_case(connection, case_ref)
            if addressee is None or file is None or addressee.case_id != file.case_id:
                return None
            consent = await cases.current_consent(connection, file.case_id)
            agreed = await agreements.of_partner(connection, partner_id)
        if addressee.partner_id != partner_id or consent is None or not consent.holds_for(addressee.need_code):
            return None
        return Addressed(
            referral_id=referral_id,
            case_id=file.case_id,
            case_ref=case_ref,
            need_code=addressee.need_code,
            partner_id=partner_id,
            partner_type=addressee.partner_type or "",
            sealed=file.sealed,
            basis=consent.basis,
            scope=consent.scope,
            agreements=agreed,
        )


@dataclass(frozen=True, slots=True)
class PostgresKnownCases:
    database: Database

    async def case_ids(self, case_refs: Sequence[str], desk_ids: Sequence[str]) -> Mapping[str, UUID]:
        async with self.database.connection() as connection:
            return await cases.case_ids(connection, case_refs, desk_ids)
