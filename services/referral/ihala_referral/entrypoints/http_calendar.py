"""The calendar over HTTP: days as they count, and the operator's corrections."""

from datetime import date, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from ihala_runtime.access import Principal, allow
from ihala_runtime.http import body_of
from ihala_runtime.problem import FieldError, Problem, parse_body
from pydantic import TypeAdapter

from ihala_referral.adapters.calendar_rows import drop_correction, put_correction, read_corrections
from ihala_referral.entrypoints.doors import checked_year, doors_of
from ihala_referral.handlers.correct_calendar import CorrectDay, shown_day

router = APIRouter(prefix="/v1/calendar/days", tags=["calendar"])

MOST_DAYS = 400

_CORRECTION = TypeAdapter(CorrectDay)

Reader = Annotated[Principal, allow("desk", "operator", "protection", "agency", "integrator")]
Operator = Annotated[Principal, allow("operator")]


@router.get("")
async def days(
    request: Request,
    _principal: Reader,
    first: Annotated[date, Query(alias="from")],
    last: Annotated[date, Query(alias="to")],
) -> dict[str, Any]:
    """Opening hours of each day, local; none on a closed one."""
    checked_year(first, "/query/from")
    checked_year(last, "/query/to")
    count = (last - first).days + 1
    if not 0 < count <= MOST_DAYS:
        raise Problem.invalid([FieldError("/query/to", "out-of-range", f"1 to {MOST_DAYS} days from `from`")])
    doors = doors_of(request)
    async with doors.database.connection() as connection:
        calendar = (await doors.environment.snapshot(connection)).world.calendar
        corrected = await read_corrections(connection)
    wanted = [first + timedelta(days=number) for number in range(count)]
    return {"items": [shown_day(calendar, day, day in corrected) for day in wanted], "next_cursor": None}


@router.put("/{day}", openapi_extra=body_of(CorrectDay))
async def correct(request: Request, day: date, principal: Operator) -> dict[str, Any]:
    """Say what a day is after all; open deadlines that count working time move within seconds."""
    doors = doors_of(request)
    checked_year(day, "/path/day")
    said = parse_body(_CORRECTION, await request.body())
    async with doors.database.transaction() as work:
        await put_correction(work.conn, day, said.correction, said.reason, principal.actor)
    async with doors.database.connection() as connection:
        calendar = (await doors.environment.snapshot(connection)).world.calendar
    return shown_day(calendar, day, corrected=True)


@router.delete("/{day}", status_code=204)
async def restore(request: Request, day: date, _principal: Operator) -> Response:
    """The day is again what the calendar says that came with the service."""
    async with doors_of(request).database.transaction() as work:
        if not await drop_correction(work.conn, day):
            raise Problem.not_found()
    return Response(status_code=204)
