"""How the demo's journeys are shown: one table of all referrals, and the steps of the first one."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table

from ihala_local.demo import Journey


def overview(journeys: Sequence[Journey]) -> Table:
    table = plain_table("case", "need", "rule", "agency", "state", "webhook", "answer due", "contact due")
    for journey in journeys:
        referral = journey.referral
        table.add_row(
            f"{journey.case_name} {referral['case_ref']}",
            f"{referral['need_code']} {referral['urgency']}",
            referral["rule_id"],
            referral["partner_id"],
            referral["hold_reason"] or referral["state"],
            "verified" if journey.all_verified else f"{len(journey.webhooks)} received",
            referral["ack_due"],
            referral["contact_due"],
        )
    return table


def steps(journey: Journey) -> Table:
    """The journey in order, with the webhook the agency received among its steps."""
    table = plain_table("at", "what", "who")
    told = [(item["at"], item["type"], item["actor"]) for item in journey.timeline]
    received = [
        (webhook["received_at"], received_words(webhook), webhook["partner_id"]) for webhook in journey.webhooks
    ]
    for row in sorted(told + received):
        table.add_row(*(str(cell) for cell in row))
    return table


def received_words(webhook: Mapping[str, Any]) -> str:
    return f"webhook {webhook['type']} received, signature {'verified' if webhook['verified'] else 'WRONG'}"


def trace_line(journey: Journey, traces_url: str) -> str:
    trace_id = journey.referral["trace_id"]
    spans = ", ".join(f"{service} {count}" for service, count in sorted(journey.trace_services.items()))
    return f"trace {trace_id}: spans of {spans or 'another collector'} ({traces_url}/api/traces/{trace_id})"


def plain_table(*columns: str) -> Table:
    return Table(*columns, box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
