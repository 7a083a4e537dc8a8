"""`ihala audit verify`: whether the trail of readings holds, asked with the key of the person responsible for data."""

from collections.abc import Mapping
from typing import Any

from ihala_local.api import calling
from ihala_local.failures import LocalFailure


class TrailBroken(LocalFailure):
    """A row of the trail was altered, moved, rewritten or taken away."""


async def verify(endpoints: Mapping[str, Any]) -> str:
    """How many rows hold, and the last one's hash, to be noted elsewhere. Raises TrailBroken."""
    async with calling(endpoints, "intake", endpoints["credentials"]["protection"]) as protection:
        answer = await protection.get("/v1/audit/verify")
    if not answer["holds"]:
        raise TrailBroken(f"audit row {answer['broken']['row']} is {answer['broken']['fault']}")
    return f"{answer['rows']} rows hold, head {answer['head']}"
