"""Referrals over HTTP: reading them, and every move.  A move is one transaction with its Idempotency-Key."""

import sys
from collections.abc import Sequence
from typing import Annotated, Any

import asyncpg
from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import JSONResponse
from ihala_events.access import Role
from ihala_events.intake import CASE_REF_PATTERN
from ihala_events.vocabulary import ReferralState
from ihala_runtime import failpoints, telemetry
from ihala_runtime.access import Principal, allow, authenticated
from ihala_runtime.http import IdempotencyKey, body_of
from ihala_runtime.problem import Problem, parse_body
from opentelemetry.trace import SpanKind

from ihala_referral.adapters.household_rows import read_household_refs
from ihala_referral.adapters.idempotency import Answer, Call, KeyReused, earlier_answer, fingerprint_of, keep_answer
from ihala_referral.adapters.postgres_unit import PostgresUnit
from ihala_referral.adapters.referral_queries import Filter, list_referrals, read, timeline
from ihala_referral.adapters.waiting_rows import positions
from ihala_referral.domain.errors import MoveRefused
from ihala_referral.domain.referral import Referral
from ihala_referral.domain.visibility import STAFF, Viewer, may_see, seen_by, shown
from ihala_referral.entrypoints.doors import (
    MOVE_POINTS,
    Cursor,
    Limit,
    PartyQuery,
    cursor_id,
    doors_of,
    referral_id_of,
    viewer_of,
)
from ihala_referral.entrypoints.moves import AGENCY, MOVE_DOORS, MoveDoor
from ihala_referral.handlers.mover import Mover

router = APIRouter(prefix="/v1/referrals", tags=["referral"])

Reader = Annotated[Principal, allow("desk", "agency", "operator", "protection")]


@router.get("")
async def listed(
    request: Request,
    principal: Reader,
    state: Annotated[ReferralState | None, Query()] = None,
    partner_id: PartyQuery = None,
    case_ref: Annotated[str | None, Query(pattern=CASE_REF_PATTERN)] = None,
    overdue: Annotated[bool, Query()] = False,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> dict[str, Any]:
    """The caller's referrals, newest first.  overdue: someone should have acted by now.

    With case_ref, desk and protection also get `household`: the references of the linked cases they may see.
    """
    doors, viewer = doors_of(request), viewer_of(principal)
    overdue_at = doors.environment.clock.now() if overdue else None
    wanted = Filter(state, partner_id, case_ref, overdue_at, cursor_id(cursor), limit + 1)
    async with doors.database.connection() as connection:
        found = await list_referrals(connection, wanted, viewer)
        page = found[:limit]
        items = await _shown(connection, page, viewer)
        household = await _household(connection, case_ref, viewer)
    return {"items": items, "next_cursor": items[-1]["referral_id"] if len(found) > limit else None, **household}


async def _household(connection: asyncpg.Connection, case_ref: str | None, viewer: Viewer) -> dict[str, list[str]]:
    """References of the cases linked with the one asked for, to staff who may see them."""
    if case_ref is None or viewer.role not in STAFF:
        return {}
    desk_ids = sorted(viewer.desk_ids) if viewer.role is Role.DESK else None
    return {"household": await read_household_refs(connection, case_ref, desk_ids)}


@router.get("/{referral_id}")
async def one(request: Request, referral_id: str, principal: Reader) -> dict[str, Any]:
    """The explanation also in sentences of every language; a masked referral has none."""
    doors, viewer = doors_of(request), viewer_of(principal)
    referral = await _seen(request, referral_id, viewer)
    async with doors.database.connection() as connection:
        (told,) = await doors.told(connection, await _shown(connection, [referral], viewer))
    return told


@router.get("/{referral_id}/timeline")
async def happened(request: Request, referral_id: str, principal: Reader) -> dict[str, Any]:
    """Everything that happened, in order; an agency sees what concerns its own attempts."""
    viewer = viewer_of(principal)
    referral = await _seen(request, referral_id, viewer)
    async with doors_of(request).database.connection() as connection:
        items = await timeline(connection, referral.referral_id)
    return {"items": seen_by(viewer, items), "next_cursor": None}


async def _seen(request: Request, referral_id: str, viewer: Viewer) -> Referral:
    wanted = referral_id_of(referral_id)
    async with doors_of(request).database.connection() as connection:
        found = await read(connection, [wanted])
    if not found or not may_see(viewer, found[0]):
        raise Problem.not_found()
    return found[0]


async def _shown(connection: asyncpg.Connection, referrals: Sequence[Referral], viewer: Viewer) -> list[dict[str, Any]]:
    waiting = [each.referral_id for each in referrals if each.state is ReferralState.WAITLISTED]
    position = await positions(connection, waiting)
    return [
        shown(each, viewer, telemetry.trace_id_of(each.journey), position.get(each.referral_id)) for each in referrals
    ]


async def move(door: MoveDoor, request: Request, referral_id: str, principal: Principal, key: str) -> JSONResponse:
    """200 with the referral as it stands now, also for a repetition; 409 with the state."""
    if principal.role not in door.roles:
        raise Problem.forbidden()
    wanted, raw = referral_id_of(referral_id), await request.body()
    call = Call(principal.credential_id, key, fingerprint_of(request.url.path, raw))
    body = parse_body(door.body, raw or b"{}")

    async def act(unit: PostgresUnit) -> tuple[Answer, bool]:
        viewer = viewer_of(principal)
        referral = unit.referral(wanted)
        if referral is None or not may_see(viewer, referral):
            raise Problem.not_found()
        given = await earlier_answer(unit.work.conn, call)
        if given is not None:
            return given, True
        _apply(door, unit, referral, principal, body)
        await unit.flush()  # so that the position in a waiting list is counted with this move
        answer = Answer(200, (await _shown(unit.work.conn, [referral], viewer))[0])
        await keep_answer(unit.work.conn, call, answer)
        return answer, False

    try:
        answer, replayed = await doors_of(request).in_unit([wanted], act)
    except KeyReused:
        raise Problem.conflict("idempotency-key-reused", "The Idempotency-Key was used with another call.") from None
    failpoints.reach(MOVE_POINTS, "answering")
    return JSONResponse(answer.body, answer.status, {"Idempotency-Replayed": "true"} if replayed else None)


def _apply(door: MoveDoor, unit: PostgresUnit, referral: Referral, principal: Principal, body: Any) -> None:
    partner_id = principal.party_id if principal.role in AGENCY else None
    with telemetry.continued(f"move {door.name}", SpanKind.INTERNAL, began=referral.journey):
        telemetry.annotate(ihala__referral__id=str(referral.referral_id))
        try:
            happened = door.use_case(referral, Mover(partner_id, principal.actor), body, unit.scene)
        except MoveRefused as refused:
            raise Problem.conflict(refused.slug, refused.detail, state=refused.state) from None
        if happened:
            unit.record(referral, happened)


def _add_route(door: MoveDoor) -> None:
    """One documented route for each move."""

    async def called(
        request: Request,
        referral_id: str,
        principal: Annotated[Principal, Depends(authenticated)],
        key: IdempotencyKey,
    ) -> JSONResponse:
        return await move(door, request, referral_id, principal, key)

    roles = ", ".join(sorted(door.roles))
    router.post(
        f"/{{referral_id}}/{door.name}",
        name=door.name,
        description=f"{sys.modules[door.use_case.__module__].__doc__} Roles: {roles}.",
        openapi_extra=body_of(door.model),
    )(called)


for _door in MOVE_DOORS.values():
    _add_route(_door)
