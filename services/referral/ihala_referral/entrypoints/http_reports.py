"""The indicators over HTTP: releases of whole quarters in a fixed number of cuts, no free query."""

from datetime import date
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from ihala_runtime.access import Principal, allow
from ihala_runtime.problem import FieldError, Problem

from ihala_referral.domain.indicators import Cut, PeriodRefused
from ihala_referral.entrypoints.doors import checked_year, doors_of
from ihala_referral.handlers.publish_indicators import NotReleasedYet

router = APIRouter(prefix="/v1/reports", tags=["reports"])

CUTS = ", ".join(cut.value for cut in Cut if cut)


@router.get("/indicators")
async def indicators(
    request: Request,
    _principal: Annotated[Principal, allow("operator", "protection", "admin")],
    first: Annotated[date, Query(alias="from")],
    end: Annotated[date, Query(alias="to")],
    by: Annotated[str, Query(max_length=40)] = "",
) -> dict[str, Any]:
    """I01 to I14 of each quarter from `from` up to, not including, `to`; of restricted needs for whole years.

    A small number reads `<5` (`<10` for a restricted need), one hidden beside it `x`, a rate that may not be told
    null.  409 `not-released-yet` names the day from which a period is released.
    """
    checked_year(first, "/query/from")
    checked_year(end, "/query/to")
    cut, doors = _cut(by), doors_of(request)
    async with doors.database.connection() as connection:
        calendar = (await doors.environment.snapshot(connection)).world.calendar
    try:
        releases, years = await doors.publish_indicators(first, end, cut, doors.environment.clock.now(), calendar)
    except PeriodRefused as refused:
        pointer = "/query/to" if refused.end else "/query/from"
        raise Problem.invalid([FieldError(pointer, "not-a-quarter", str(refused))]) from None
    except NotReleasedYet as early:
        raise Problem.conflict("not-released-yet", str(early), released_on=early.on.isoformat()) from None
    return {"by": list(cut.dimensions), "releases": releases, "restricted": years}


def _cut(by: str) -> Cut:
    wanted = frozenset(by.split(","))
    for cut in Cut:
        if frozenset(cut.split(",")) == wanted:
            return cut
    raise Problem.invalid([FieldError("/query/by", "unknown-cut", f"must be one of: {CUTS}; or nothing")])
