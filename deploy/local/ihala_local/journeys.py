"""How the demo's journeys are shown: one table of all referrals, and the steps of the first one."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.table import Column, Table

from ihala_local.demo import Journey


def overview(journeys: Sequence[Journey]) -> Table:
    table = plain_table("case", "need\nrule", "agency", "state", "webhook", "answer due UTC\ncontact due UTC")
    for journey in journeys:
        referral = journey.referral
        table.add_row(
            f"{journey.case_name}\n{referral['case_ref']}",
            f"{referral['need_code']}\n{referral['urgency']} {referral['rule_id']}",
            referral["partner_id"],
            referral["hold_reason"] or referral["state"],
            "verified" if journey.all_verified else f"{len(journey.webhooks)} received",
            deadlines(referral),
        )
    return table


def steps(journey: Journey) -> Table:
    """The journey in order, each webhook after the event it tells of: under a test clock times order nothing."""
    table = plain_table("at UTC", "what", "who")
    waiting = list(journey.webhooks)
    for item in journey.timeline:
        what = item["type"].removeprefix("ihala.").removesuffix(".v1")
        table.add_row(millisecond(item["at"]), what, item["actor"])
        for webhook in [each for each in waiting if each["type"] == item["type"]]:
            table.add_row(millisecond(webhook["received_at"]), received_words(webhook), webhook["partner_id"])
            waiting.remove(webhook)
    return table


def received_words(webhook: Mapping[str, Any]) -> str:
    return f"webhook received, signature {'verified' if webhook['verified'] else 'WRONG'}"


def minute(instant: str | None) -> str:
    """`Tue 17 Nov 10:15`, in UTC."""
    return f"{datetime.fromisoformat(instant):%a %d %b %H:%M}" if instant else ""


def millisecond(instant: str) -> str:
    return datetime.fromisoformat(instant).time().isoformat("milliseconds")


def deadlines(referral: Mapping[str, Any]) -> str:
    return f"{minute(referral['ack_due'])}\n{minute(referral['contact_due'])}"


def trace_line(trace_id: str, spans: Mapping[str, int], traces_url: str) -> str:
    told = ", ".join(f"{service} {count}" for service, count in sorted(spans.items()))
    return f"trace {trace_id}: spans of {told or 'another collector'} ({traces_url}/api/traces/{trace_id})"


def plain_table(*columns: str) -> Table:
    """The first column, which holds what is copied from, is never folded."""
    headers = (Column(header, overflow="fold", no_wrap=header == columns[0]) for header in columns)
    return Table(*headers, box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
