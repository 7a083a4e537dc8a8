"""Stores intakes: answers, cases, consents, sealed files and events, a whole group in one transaction.

The wrapped keys are durable in their own database before the cases are: a stored case can always be opened.
"""

import asyncio
from collections.abc import Awaitable, Container, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time
from typing import Any
from uuid import UUID

import asyncpg
from ihala_events.catalogue import CASE_HELD, CASE_SUBMITTED, INFORMATION_GIVEN
from ihala_events.vocabulary import IntakeState
from ihala_runtime.identifiers import uuid7
from ihala_runtime.outbox import NewEvent, new_event
from ihala_runtime.postgres import Database, Work

from ihala_intake.adapters import cases, duplicates
from ihala_intake.adapters.cases import CaseRow, RequestKey
from ihala_intake.adapters.duplicates import Claim
from ihala_intake.adapters.keys import CaseKeys
from ihala_intake.adapters.sealing import Sealer
from ihala_intake.domain.acceptance import NewCase, Policy, Tally, answer, held, with_new_reference
from ihala_intake.domain.errors import KeyReused
from ihala_intake.handlers.submit_intake import Outcome, Submission, same_request

SOURCE = "/ihala/intake"
REFERENCE_TRIES = 3
SUBMIT_POINTS = "intake.submit"


@dataclass(frozen=True, slots=True)
class IntakeStore:
    database: Database
    keys: CaseKeys
    sealer: Sealer
    policy: Policy

    async def store_group(self, submissions: Sequence[Submission]) -> Sequence[Outcome | Exception]:
        """A group of requests in one transaction of its own."""
        if len(submissions) == 1:
            return [await self._store_alone(submissions[0])]
        async with self.database.transaction(SUBMIT_POINTS) as work:
            return await self.store(work, submissions)

    async def _store_alone(self, submission: Submission) -> Outcome | Exception:
        for _ in range(REFERENCE_TRIES):
            try:
                async with self.database.transaction(SUBMIT_POINTS) as work:
                    return (await self.store(work, [submission]))[0]
            except asyncpg.UniqueViolationError as error:
                if error.constraint_name != "case_file_case_ref_key":
                    raise
                submission = self._redrawn(submission)
        raise RuntimeError("no free case reference was found")

    async def store(self, work: Work, submissions: Sequence[Submission]) -> list[Outcome | Exception]:
        """In the caller's transaction; outcomes in the order given."""
        first: dict[RequestKey, Submission] = {}
        for submission in submissions:
            first.setdefault(_key(submission), submission)
        claims = [Claim(key, each.fingerprint, each.answer, each.accepted) for key, each in sorted(first.items())]
        new, suspected = await duplicates.claim_and_compare(work.conn, claims)
        told = await self._store_new(work, self._held_where(suspected, [first[key] for key in sorted(new)], work))
        given = await cases.given_answers(work.conn, sorted(first.keys() - new)) if first.keys() - new else {}
        return [self._outcome(submission, first, told, given) for submission in submissions]

    async def _store_new(self, work: Work, submissions: Sequence[Submission]) -> dict[RequestKey, dict[str, Any]]:
        """What each is answered."""
        rows: list[CaseRow] = []
        wrapped = []
        for submission in submissions:
            if isinstance(submission.accepted, NewCase):
                sealed = self.sealer.seal(submission.accepted.case_id, submission.accepted.private)
                wrapped.append((submission.accepted.case_id, sealed.wrapped_key))
                rows.append(CaseRow(submission.accepted, sealed.file, submission.journey))
            work.record(_event(submission))
        cases.insert_cases(work.writes, rows)
        await _both(self.keys.keep(wrapped), work.flush())
        return {_key(submission): submission.answer for submission in submissions}

    def _held_where(
        self, suspected: Mapping[UUID, set[UUID]], submissions: Sequence[Submission], work: Work
    ) -> Sequence[Submission]:
        """Those that may repeat a case of the last weeks, or one of this very group, wait for a human."""
        if not suspected:
            return submissions
        told = [self._held(each, suspected) for each in submissions]
        changed = [(_key(now), now.answer) for before, now in zip(submissions, told, strict=True) if now is not before]
        duplicates.suspect(work.writes, suspected)
        duplicates.hold_answers(work.writes, changed)
        return told

    def _held(self, submission: Submission, suspected: Container[UUID]) -> Submission:
        if not isinstance(submission.accepted, NewCase) or submission.accepted.case_id not in suspected:
            return submission
        case = held(submission.accepted)
        return replace(submission, accepted=case, answer=answer(case, self.policy))

    def _outcome(
        self,
        submission: Submission,
        first: dict[RequestKey, Submission],
        told: dict[RequestKey, dict[str, Any]],
        given: dict[RequestKey, cases.GivenAnswer],
    ) -> Outcome | KeyReused:
        key = _key(submission)
        if key not in told:
            return same_request(given[key].fingerprint, given[key].answer, submission)
        if first[key] is submission:
            return Outcome(told[key], replayed=False)
        return same_request(first[key].fingerprint, told[key], submission)

    def _redrawn(self, submission: Submission) -> Submission:
        if not isinstance(submission.accepted, NewCase):
            return submission
        case = with_new_reference(submission.accepted, self.policy)
        return replace(submission, accepted=case, answer=answer(case, self.policy))


async def _both(keeping: Awaitable[None], inserting: Awaitable[None]) -> None:
    """At once, because they are two databases; both have ended when this returns or raises."""
    for outcome in await asyncio.gather(keeping, inserting, return_exceptions=True):
        if outcome is not None:
            raise outcome


def _key(submission: Submission) -> RequestKey:
    return submission.submitter.scope_id, submission.key


def _event(submission: Submission) -> NewEvent:
    accepted = submission.accepted
    if isinstance(accepted, Tally):
        return _tally_event(accepted)
    return new_event(
        CASE_HELD if accepted.state is IntakeState.HELD else CASE_SUBMITTED,
        accepted.profile,
        source=SOURCE,
        aggregate_id=accepted.case_id,
        sequence=1,
        key=str(accepted.case_id),
        time=accepted.received_at,
        correlation_id=str(accepted.case_id),
        journey=submission.journey,
        made_in=submission.traceparent,
    )


def _tally_event(tally: Tally) -> NewEvent:
    """Linked to nothing: not even to the trace of the request."""
    event_id = uuid7()
    return new_event(
        INFORMATION_GIVEN,
        tally.given,
        source=SOURCE,
        aggregate_id=event_id,
        event_id=event_id,
        sequence=1,
        sequenced=False,
        key=tally.given.desk_id,
        subject=tally.given.desk_id,
        time=_midnight(tally),
    )


def _midnight(tally: Tally) -> datetime:
    return datetime.combine(tally.given.date, time(), UTC)
