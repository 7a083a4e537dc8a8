"""`ihala reconcile`: every accepted need = a referral = delivered, waiting or parked, joined by id.

Each service says what it accounts for; what is younger than a minute is on its way, not stuck.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from rich.table import Table

from ihala_local.api import Api
from ihala_local.journeys import plain_table
from ihala_local.parked import every_record
from ihala_local.services import of_each

YOUNG = timedelta(seconds=60)
PAGE = "1000"


@dataclass(frozen=True, slots=True)
class Books:
    """What each service answered: referrals by need, states of deliveries by `sent` event, parked records by event."""

    needs: Sequence[Mapping[str, Any]]
    referrals: Mapping[str, Mapping[str, Any]]
    deliveries: Mapping[str, Sequence[str]]
    unanswered: Mapping[str, Sequence[Mapping[str, Any]]]
    parked: Mapping[str, str]


async def reconcile(endpoints: Mapping[str, Any], since: datetime, until: datetime | None) -> dict[str, Any]:
    """`needs`, what became of them by place, the `stuck` ones with their ids, and what services wait for."""
    books, now = await books_of(endpoints, since, until or datetime.now(UTC)), datetime.now(UTC)
    places = [place_of_need(need, books, now) for need in books.needs]
    places += [placed(each, books, now) for each in added(books)]
    lacking = [{"service": name, **each} for name, found in books.unanswered.items() for each in found]
    return {
        "needs": len(books.needs),
        "referrals": len(books.referrals),
        "places": dict(sorted(Counter(place["place"] for place in places).items())),
        "stuck": [place for place in places if place["place"].startswith("stuck")],
        "unanswered": lacking,
    }


async def books_of(endpoints: Mapping[str, Any], since: datetime, until: datetime) -> Books:
    window = {"since": since.isoformat(), "until": until.isoformat()}

    async def book(_service: str, api: Api) -> dict[str, Any]:
        return await every_page(api, window)

    answers, parked = await asyncio.gather(of_each(endpoints, "operator", book), every_record(endpoints))
    return Books(
        answers["intake"]["items"],
        {each["need_id"]: each for each in answers["referral"]["items"]},
        {each["id"]: each["states"] for each in answers["notification"]["items"]},
        {name: answer["unanswered"] for name, answer in answers.items()},
        {record["event_id"]: record["record_id"] for record in parked if record["event_id"]},
    )


async def every_page(api: Api, window: Mapping[str, str]) -> dict[str, Any]:
    items: list[Any] = []
    cursor = ""
    while True:
        page: dict[str, Any] = await api.get("/v1/reconciliation", **window, limit=PAGE, cursor=cursor)
        items += page["items"]
        if page["next_cursor"] is None:
            return {"items": items, "unanswered": page["unanswered"]}
        cursor = page["next_cursor"]


def place_of_need(need: Mapping[str, Any], books: Books, now: datetime) -> dict[str, Any]:
    """Where a need is: its referral's place, or the way to the referral service."""
    if need["id"] in books.referrals:
        return placed(books.referrals[need["id"]], books, now)
    ids = {"need_id": need["id"], "case_id": need["case_id"], "event_id": need["event_id"]}
    return {**ids, "place": under_way(need["event_id"], need["at"], "routing", books, now)}


def added(books: Books) -> list[Mapping[str, Any]]:
    """Referrals of needs that a rule added."""
    asked = {need["id"] for need in books.needs}
    return [each for need_id, each in books.referrals.items() if need_id not in asked]


def placed(referral: Mapping[str, Any], books: Books, now: datetime) -> dict[str, Any]:
    sent = referral["sent_event_id"]
    ids = {"need_id": referral["need_id"], "referral_id": referral["id"], "event_id": sent}
    if sent is None:
        return {**ids, "place": referral["state"]}
    if states := books.deliveries.get(sent):
        return {**ids, "place": "delivered" if "delivered" in states else states[0]}
    if referral["told"]:
        return {**ids, "place": "delivered"}  # long ago: the delivery log was cleaned
    return {**ids, "place": under_way(sent, referral["at"], "telling", books, now)}


def under_way(event_id: str | None, at: str, what: str, books: Books, now: datetime) -> str:
    if event_id is not None and event_id in books.parked:
        return f"parked {books.parked[event_id]}"
    return f"on the way: {what}" if now - datetime.fromisoformat(at) < YOUNG else f"stuck: {what}"


def as_table(found: Mapping[str, Any]) -> Table:
    table = plain_table("place", "needs")
    for place, count in found["places"].items():
        table.add_row(place, str(count))
    for each in found["stuck"]:
        table.add_row(f"{each['place']}: need {each['need_id']}, event {each['event_id']}", "")
    for each in found["unanswered"]:
        table.add_row(f"{each['service']} waits: {each['expectation']} {each['key']}, asked {each['asked']} times", "")
    return table
