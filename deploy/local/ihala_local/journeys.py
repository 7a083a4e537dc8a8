"""How the demo's journeys are shown: one table of all referrals, and the steps of the first one."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.table import Column, Table

from ihala_local.demo import Journey


def overview(journeys: Sequence[Journey]) -> Table:
    table = plain_table("case", "need", "rule", "agency", "state", "webhook", "answer due UTC", "contact due UTC")
    for journey in journeys:
        referral = journey.referral
        table.add_row(
            f"{journey.case_name}\n{referral['case_ref']}",
            f"{referral['need_code']}\n{referral['urgency']}",
            referral["rule_id"],
            referral["partner_id"],
            referral["hold_reason"] or referral["state"],
            "verified" if journey.all_verified else f"{len(journey.webhooks)} received",
            minute(referral["ack_due"]),
            minute(referral["contact_due"]),
        )
    return table


def steps(journey: Journey) -> Table:
    """The journey in order, with the webhook the agency received among its steps."""
    table = plain_table("at UTC", "what", "who")
    told = [(item["at"], item["type"], item["actor"]) for item in journey.timeline]
    received = [
        (webhook["received_at"], received_words(webhook), webhook["partner_id"]) for webhook in journey.webhooks
    ]
    for at, what, who in sorted(told + received):
        table.add_row(at[11:23], what.removeprefix("ihala.").removesuffix(".v1"), who)
    return table


def received_words(webhook: Mapping[str, Any]) -> str:
    return f"webhook received, signature {'verified' if webhook['verified'] else 'WRONG'}"


def minute(instant: str | None) -> str:
    """`Tue 17 Nov 10:15`, in UTC."""
    return f"{datetime.fromisoformat(instant):%a %d %b %H:%M}" if instant else ""


def trace_line(trace_id: str, spans: Mapping[str, int], traces_url: str) -> str:
    told = ", ".join(f"{service} {count}" for service, count in sorted(spans.items()))
    return f"trace {trace_id}: spans of {told or 'another collector'} ({traces_url}/api/traces/{trace_id})"


def plain_table(*columns: str) -> Table:
    headers = (Column(header, overflow="fold") for header in columns)
    return Table(*headers, box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
