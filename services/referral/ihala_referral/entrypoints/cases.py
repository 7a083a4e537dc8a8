"""``intake.case.v1`` → referrals: the group `referral.router`.

A batch's cases are loaded at once; each record is answered by one use case.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from uuid import UUID

from ihala_events import catalogue
from ihala_events.intake import (
    CaseCorrected,
    CaseReleased,
    ConsentRecorded,
    ConsentWithdrawn,
    InformationGiven,
    RoutingProfile,
    SubjectErased,
)
from ihala_events.topics import INTAKE_CASE
from ihala_runtime import telemetry
from ihala_runtime.consumer import Consumer
from ihala_runtime.failures import TemporaryFailure
from ihala_runtime.postgres import NeedsTransaction, Work
from ihala_runtime.received import Received

from ihala_referral.adapters.indicator_rows import count_information
from ihala_referral.adapters.postgres_unit import PostgresUnit, open_unit
from ihala_referral.adapters.reconciliation import answer_again
from ihala_referral.adapters.snapshots import Environment
from ihala_referral.domain.errors import NoCoordinationCell
from ihala_referral.handlers.apply_consent import apply_consent
from ihala_referral.handlers.correct_case import correct_case
from ihala_referral.handlers.erase_case import erase_case
from ihala_referral.handlers.release_case import release_case
from ihala_referral.handlers.route_case import route_case
from ihala_referral.handlers.withdraw_consent import withdraw_consent

ROUTER = "referral.router"


def case_consumer(environment: Environment) -> Consumer[PostgresUnit]:
    return Consumer(
        name=ROUTER,
        topics=(INTAKE_CASE.name,),
        open_scope=_scopes(environment),
        handlers={
            catalogue.CASE_SUBMITTED.type: _submitted,
            catalogue.CASE_HELD.type: _held,
            catalogue.CASE_RELEASED.type: _known(_released),
            catalogue.CASE_CORRECTED.type: _known(_corrected),
            catalogue.CONSENT_RECORDED.type: _known(_consent_recorded),
            catalogue.CONSENT_WITHDRAWN.type: _known(_consent_withdrawn),
            catalogue.SUBJECT_ERASED.type: _known(_erased),
            catalogue.INFORMATION_GIVEN.type: _informed,
        },
        answer_again=_tell_again,
        at_once=True,
    )


def _scopes(
    environment: Environment,
) -> Callable[[Work, Sequence[Received]], AbstractAsyncContextManager[PostgresUnit]]:
    @asynccontextmanager
    async def scope(work: Work, received: Sequence[Received]) -> AsyncIterator[PostgresUnit]:
        if work.at_once and any(each.type == catalogue.INFORMATION_GIVEN.type for each in received):
            raise NeedsTransaction  # counting it takes one: better now than after the others were routed
        case_ids = sorted({case_id for case_id in map(_case_id, received) if case_id is not None})
        async with open_unit(work, environment, case_ids=case_ids) as unit:
            yield unit

    return scope


def _case_id(received: Received) -> UUID | None:
    """The key of the topic; None where it is no UUID, which the payload's check will refuse."""
    try:
        return UUID((received.key or b"").decode())
    except (ValueError, UnicodeDecodeError):
        return None


async def _tell_again(unit: PostgresUnit, asked: Sequence[Received]) -> None:
    """Intake has not heard what became of these cases."""
    await answer_again(unit.work.conn, [case_id for case_id in map(_case_id, asked) if case_id is not None])


def _known(
    handle: Callable[[PostgresUnit, Received], None],
) -> Callable[[PostgresUnit, Received], Awaitable[None]]:
    """For events about a case that must be here already; where it is not yet, the record is tried later."""

    async def handler(unit: PostgresUnit, received: Received) -> None:
        case_id = _case_id(received)
        if case_id is None or unit.case(case_id) is None:
            raise TemporaryFailure("unknown-case", "the case has not been routed yet")
        unit.caused_by = received.envelope.id
        handle(unit, received)

    return handler


async def _submitted(unit: PostgresUnit, received: Received) -> None:
    await _route(unit, received, held=False)


async def _held(unit: PostgresUnit, received: Received) -> None:
    await _route(unit, received, held=True)


async def _route(unit: PostgresUnit, received: Received, *, held: bool) -> None:
    unit.caused_by = received.envelope.id
    profile = received.payload(RoutingProfile)
    telemetry.annotate(ihala__case__id=str(profile.case_id))
    if profile.household:
        await unit.join_household(profile)
    try:
        route_case(profile, unit, held=held)
    except NoCoordinationCell as error:
        raise TemporaryFailure("no-coordination-cell", str(error)) from None


def _released(unit: PostgresUnit, received: Received) -> None:
    release_case(received.payload(CaseReleased), unit)


def _corrected(unit: PostgresUnit, received: Received) -> None:
    correct_case(received.payload(CaseCorrected), unit)


def _consent_recorded(unit: PostgresUnit, received: Received) -> None:
    apply_consent(received.payload(ConsentRecorded), unit)


def _consent_withdrawn(unit: PostgresUnit, received: Received) -> None:
    withdraw_consent(received.payload(ConsentWithdrawn), unit)


def _erased(unit: PostgresUnit, received: Received) -> None:
    erase_case(received.payload(SubjectErased), unit)


async def _informed(unit: PostgresUnit, received: Received) -> None:
    await count_information(unit.work.conn, received.payload(InformationGiven))
