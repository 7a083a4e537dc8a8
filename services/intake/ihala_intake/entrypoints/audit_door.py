"""The door to the audit trail: whether it still holds."""

from typing import Annotated, Any

from fastapi import APIRouter, Request
from ihala_runtime.access import Principal, allow

from ihala_intake.domain.audit_chain import Break
from ihala_intake.entrypoints.cases_seen import doors_of

router = APIRouter(prefix="/v1/audit", tags=["protection"])


@router.get("/verify")
async def verify(request: Request, _principal: Annotated[Principal, allow("protection")]) -> dict[str, Any]:
    """Walk the whole chain: its last row and hash, to be noted elsewhere, or the first row that does not hold."""
    result = await doors_of(request).audit_check.verify()
    if isinstance(result, Break):
        return {"holds": False, "rows": None, "head": None, "broken": {"row": result.row_id, "fault": result.fault}}
    return {"holds": True, "rows": result.row_id, "head": result.hash.hex(), "broken": None}
