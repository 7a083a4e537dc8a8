"""`ihala route explain`: where an intake would go and why, without storing anything."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from rich.table import Table

from ihala_local.api import calling


async def explain(endpoints: Mapping[str, Any], intake: object, at: str | None) -> dict[str, Any]:
    """The answer of POST /v1/routing/explain. at: the instant of routing, RFC 3339."""
    path = "/v1/routing/explain" + (f"?at={quote(at)}" if at else "")
    async with calling(endpoints, "referral", endpoints["credentials"]["desk"]) as desk:
        answer: dict[str, Any] = await desk.post(path, intake)
    return answer


def as_table(answer: Mapping[str, Any]) -> Table:
    table = Table("need", "urgency", "rule", "agency", "answer due", "contact due", "hold", box=None, pad_edge=False)
    for referral in answer["referrals"]:
        table.add_row(
            referral["need_code"],
            referral["urgency"],
            f"{referral['rule_id']} ({referral['rule_set_version']})",
            "\n".join(
                f"{'→' if each['chosen'] else ' '} {each['partner_id']}: {each['why']}" for each in chain(referral)
            ),
            referral["ack_due"] or "",
            referral["contact_due"] or "",
            referral["hold_reason"] or "",
        )
    return table


def chain(referral: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The chain as it was walked."""
    steps: list[dict[str, Any]] = referral["partner_chain"]
    return steps
