"""What the rules would do with an intake, over HTTP."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from ihala_events.intake import IntakeRequest
from ihala_events.wire import Instant
from ihala_runtime.access import Principal, allow
from ihala_runtime.http import body_of
from ihala_runtime.problem import Problem, parse_body
from pydantic import TypeAdapter

from ihala_referral.domain.errors import NoCoordinationCell
from ihala_referral.domain.routing import World
from ihala_referral.entrypoints.doors import checked_year, doors_of
from ihala_referral.handlers.explain_routing import explain_routing

router = APIRouter(prefix="/v1/routing", tags=["routing"])

_INTAKE = TypeAdapter(IntakeRequest)


@router.post("/explain", openapi_extra=body_of(IntakeRequest))
async def explain(
    request: Request,
    _principal: Annotated[Principal, allow("desk", "integrator")],
    at: Annotated[Instant | None, Query()] = None,
) -> dict[str, Any]:
    """Where this intake would go, and why.  Nothing is stored.  at: the instant of routing, else of receipt."""
    intake = parse_body(_INTAKE, await request.body())
    checked_year(intake.received_at.date(), "/received_at")
    checked_year((at or intake.received_at).date(), "/query/at")
    doors = doors_of(request)
    async with doors.database.connection() as connection:
        snapshot = await doors.environment.snapshot(connection)
        answer = _explained(intake, at, snapshot.world)
        return {**answer, "referrals": await doors.told(connection, answer["referrals"])}


def _explained(intake: IntakeRequest, at: datetime | None, world: World) -> dict[str, Any]:
    try:
        return explain_routing(intake, at, world)
    except NoCoordinationCell as error:
        raise Problem(503, "no-coordination-cell", "The directory is not complete", str(error)) from None
