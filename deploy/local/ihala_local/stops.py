"""`ihala access stop|resume`: an agency is asked and told nothing more, and which referrals that concerns.

Rule: the list holds ids, states and times alone; it is printed and written nowhere.
"""

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

from ihala_local.api import calling

COLUMNS = (
    "referral_id",
    "case_ref",
    "desk_id",
    "state",
    "open",
    "attempt_no",
    "attempt_state",
    "reason_code",
    "sent_at",
    "deletion",
)


async def stop(
    endpoints: Mapping[str, Any], partner_id: str, reason: str
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """What was stopped, and every referral that the agency was ever asked for."""
    async with calling(endpoints, "referral", endpoints["credentials"]["admin"]) as admin:
        stopped: dict[str, Any] = await admin.post(f"/v1/partners/{partner_id}/stop", {"reason_code": reason})
        return stopped, await admin.every(f"/v1/partners/{partner_id}/affected-referrals")


async def resume(endpoints: Mapping[str, Any], partner_id: str) -> None:
    async with calling(endpoints, "referral", endpoints["credentials"]["admin"]) as admin:
        await admin.post(f"/v1/partners/{partner_id}/resume", {})


def as_csv(affected: Sequence[Mapping[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(affected)
    return text.getvalue().rstrip("\n")
