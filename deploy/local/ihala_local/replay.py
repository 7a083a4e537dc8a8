"""`ihala replay`: what services published, again, with the same ids; a read model made anew from its history.

Rule: people and agencies are not told again unless asked. Each service replays its own events, page by page.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import aiohttp

from ihala_local.api import Api, Refused, calling
from ihala_local.failures import LocalFailure
from ihala_local.services import of_each, service_of

POLL_SECONDS = 0.2
KEYS_AT_ONCE = 500
AN_HOUR = aiohttp.ClientTimeout(total=3600)


class NotReplayable(LocalFailure):
    """Nothing of ours would come again."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """One referral, one agency's, a consumer's, of a time; at least one of them."""

    referral_id: str | None = None
    partner_id: str | None = None
    consumer: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    notify: bool = False

    @property
    def window(self) -> dict[str, str]:
        given = {"since": self.since, "until": self.until}
        return {name: value.isoformat() for name, value in given.items() if value is not None}


async def replay(endpoints: Mapping[str, Any], wanted: Wanted) -> dict[str, int]:
    """Events published again by each service, and the messages that agencies get again (`notified`)."""
    if wanted == Wanted(notify=wanted.notify):
        raise NotReplayable("say what: --referral, --partner, --consumer, --from or --to")
    referrals = await referrals_of(endpoints, wanted)
    topics = None if wanted.consumer is None else await topics_of(endpoints, wanted.consumer)
    keys = None if referrals is None else keys_of(referrals, wanted)

    async def of_service(_service: str, api: Api) -> int:
        return await every_page(api, keys, topics, wanted)

    counts = await of_each(endpoints, "operator", of_service)
    if wanted.notify:
        counts["notified"] = await notify(endpoints, wanted, referrals)
    return counts


async def referrals_of(endpoints: Mapping[str, Any], wanted: Wanted) -> list[dict[str, Any]] | None:
    """The referrals that are meant; None where they are not chosen one by one."""
    credentials = endpoints["credentials"]
    if wanted.referral_id is not None:
        async with calling(endpoints, "referral", credentials["operator"]) as operator:
            return [await operator.get(f"/v1/referrals/{wanted.referral_id}")]
    if wanted.partner_id is not None:
        async with calling(endpoints, "referral", credentials["protection"]) as protection:
            return await protection.every(f"/v1/partners/{wanted.partner_id}/affected-referrals")
    return None


def keys_of(referrals: Sequence[Mapping[str, Any]], wanted: Wanted) -> list[str]:
    """Of Kafka: each referral, its case, and the agency's own record."""
    ids = {str(each[name]) for each in referrals for name in ("referral_id", "case_id")}
    return sorted(ids | ({wanted.partner_id} if wanted.partner_id else set()))


async def topics_of(endpoints: Mapping[str, Any], consumer: str) -> list[str]:
    """Raises NotReplayable for a group that reads what others wrote."""
    found = await consumer_named(endpoints, consumer)
    if not found["topics"]:
        raise NotReplayable(f"{consumer} reads topics of parties: what they wrote is theirs to send again")
    topics: list[str] = found["topics"]
    return topics


async def consumer_named(endpoints: Mapping[str, Any], name: str) -> dict[str, Any]:
    service, _ = service_of(name, ".")
    async with calling(endpoints, service, endpoints["credentials"]["operator"]) as operator:
        known: list[dict[str, Any]] = (await operator.get("/v1/consumers"))["items"]
    for each in known:
        if each["name"] == name:
            return each
    raise NotReplayable(f"{service} has {', '.join(each['name'] for each in known)}")


async def every_page(api: Api, keys: Sequence[str] | None, topics: Sequence[str] | None, wanted: Wanted) -> int:
    """How many events of this service go out again."""
    body = {"topics": topics, "notify": wanted.notify, **wanted.window}
    if keys is None:
        return await pages(api, body)
    parts = [keys[start : start + KEYS_AT_ONCE] for start in range(0, len(keys), KEYS_AT_ONCE)]
    return sum([await pages(api, {**body, "keys": part}) for part in parts])


async def pages(api: Api, body: Mapping[str, Any]) -> int:
    count: int = 0
    after = None
    while True:
        page = await api.post("/v1/replay", {**body, "after": after})
        count, after = count + page["events"], page["next_after"]
        if after is None:
            return count
        await until_taken(api)


async def until_taken(api: Api) -> None:
    """A page goes out before the next comes: what is new waits for one page at most."""
    while (await api.get("/v1/replay"))["on_their_way"]:  # noqa: ASYNC110 (another process publishes)
        await asyncio.sleep(POLL_SECONDS)


async def notify(endpoints: Mapping[str, Any], wanted: Wanted, referrals: Sequence[Mapping[str, Any]] | None) -> int:
    """Ended webhook deliveries sent again, under the ids they had."""
    window = wanted.window
    async with calling(endpoints, "notification", endpoints["credentials"]["operator"]) as operator:
        if wanted.partner_id is not None:
            return await sent_again(operator, {"partner_id": wanted.partner_id, **window})
        queries = [{}] if referrals is None else [{"referral_id": each["referral_id"]} for each in referrals]
        logs = [await operator.every("/v1/deliveries", **query) for query in queries]
        ended = [each for log in logs for each in log if each["state"] in ("delivered", "exhausted")]
        ids = sorted({each["delivery_id"] for each in ended if each["channel"] == "webhook" and within(each, wanted)})
        parts = [ids[start : start + KEYS_AT_ONCE] for start in range(0, len(ids), KEYS_AT_ONCE)]
        return sum([await sent_again(operator, {"delivery_ids": part}) for part in parts])


def within(delivery: Mapping[str, Any], wanted: Wanted) -> bool:
    made = datetime.fromisoformat(delivery["created_at"])
    return (wanted.since is None or made >= wanted.since) and (wanted.until is None or made < wanted.until)


async def sent_again(operator: Api, chosen: Mapping[str, Any]) -> int:
    answer = await operator.post("/v1/deliveries/replay", {**chosen, "states": ["delivered", "exhausted"]})
    return int(answer["replayed"])


async def rebuild(endpoints: Mapping[str, Any], consumer: str, *, check: bool) -> dict[str, Any]:
    """The read model of that group made anew from the whole history, and how it compares with the live one."""
    found = await consumer_named(endpoints, consumer)
    if found["read_model"] is None:
        raise NotReplayable(f"{consumer} keeps no read model: its effects are events of their own")
    await of_each(endpoints, "operator", lambda _service, api: publish_history(api, found["topics"]))
    service, _ = service_of(consumer, ".")
    async with calling(endpoints, service, endpoints["credentials"]["operator"], AN_HOUR) as operator:
        compared: dict[str, Any] = await operator.post(f"/v1/rebuild/{consumer}", {"replace": not check})
    return compared


async def publish_history(api: Api, topics: Sequence[str]) -> None:
    """For the rebuild alone; a compacted topic holds it all and refuses."""
    try:
        await pages(api, {"topics": topics, "rebuild": True})
    except Refused as refused:
        if refused.status != 422:
            raise
    await until_taken(api)
