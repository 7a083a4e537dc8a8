"""`ihala route explain`: where an intake would go and why, without storing anything."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from rich.table import Table

from ihala_local.api import calling
from ihala_local.journeys import deadlines, plain_table


async def explain(endpoints: Mapping[str, Any], intake: object, at: str | None) -> dict[str, Any]:
    """The answer of POST /v1/routing/explain. at: the instant of routing, RFC 3339."""
    path = "/v1/routing/explain" + (f"?at={quote(at)}" if at else "")
    async with calling(endpoints, "referral", endpoints["credentials"]["desk"]) as desk:
        answer: dict[str, Any] = await desk.post(path, intake)
    return answer


def as_table(answer: Mapping[str, Any]) -> Table:
    table = plain_table("need", "rule", "agency", "answer due UTC\ncontact due UTC", "hold")
    for referral in answer["referrals"]:
        table.add_row(
            f"{referral['need_code']}\n{referral['urgency']}",
            f"{referral['rule_id']}\n{referral['rule_set_version']}",
            "\n".join(
                f"{'→' if each['chosen'] else ' '} {each['partner_id']}: {each['why']}" for each in chain(referral)
            ),
            deadlines(referral),
            referral["hold_reason"] or "",
        )
    return table


def sentences(answer: Mapping[str, Any], language: str) -> list[str]:
    """Why each need goes where it goes, and why to nobody else; a blank line between needs."""
    told = [referral["explanation"]["sentences"][language] for referral in answer["referrals"]]
    return [line for lines in told for line in ["", *lines]]


def chain(referral: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The chain as it was walked."""
    steps: list[dict[str, Any]] = referral["partner_chain"]
    return steps
