"""`ihala parked`: what every service has set aside, and what to do about it, over the API of each."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table

from ihala_local.api import Api, calling
from ihala_local.journeys import plain_table
from ihala_local.services import of_each, service_of


async def every_record(
    endpoints: Mapping[str, Any], state: str | None = None, consumer: str | None = None, error_class: str | None = None
) -> list[dict[str, Any]]:
    """All that wait or are dead, or are in that state; `record_id` begins with the service."""
    given = {"state": state, "consumer": consumer, "error_class": error_class}
    query = {name: value for name, value in given.items() if value}

    async def records(service: str, api: Api) -> list[dict[str, Any]]:
        return [_named(service, each) for each in await api.every("/v1/parked", **query)]

    return [record for found in (await of_each(endpoints, "operator", records)).values() for record in found]


async def every_group(endpoints: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Counts by consumer and class of failure; `group` is what retry and discard take."""

    async def groups(_service: str, api: Api) -> list[dict[str, Any]]:
        items = (await api.get("/v1/parked/groups"))["items"]
        return [{"group": f"{each['consumer']}/{each['error_class']}", **each} for each in items]

    return [group for found in (await of_each(endpoints, "operator", groups)).values() for group in found]


async def show(endpoints: Mapping[str, Any], record_id: str, *, payload: bool) -> dict[str, Any]:
    """One record with its history; its payload too, which is written down."""
    service, number = service_of(record_id, ":")
    async with calling(endpoints, service, endpoints["credentials"]["operator"]) as operator:
        record = _named(service, await operator.get(f"/v1/parked/{number}"))
    if not payload:
        return record
    async with calling(endpoints, service, endpoints["credentials"]["protection"]) as protection:
        content: dict[str, Any] = await protection.get(f"/v1/parked/{number}/payload")
    return record | content


async def retry(endpoints: Mapping[str, Any], record_ids: Sequence[str], groups: Sequence[str]) -> int:
    """How many are tried."""
    return await _act(endpoints, "retry", record_ids, groups, {})


async def discard(endpoints: Mapping[str, Any], record_ids: Sequence[str], groups: Sequence[str], reason: str) -> int:
    """How many were given up."""
    return await _act(endpoints, "discard", record_ids, groups, {"reason": reason})


async def edit(endpoints: Mapping[str, Any], record_id: str, payload: object, reason: str) -> None:
    """With the key of the person responsible for data, who alone reads payloads."""
    service, number = service_of(record_id, ":")
    async with calling(endpoints, service, endpoints["credentials"]["protection"]) as protection:
        await protection.put(f"/v1/parked/{number}", {"payload": payload, "reason": reason})


async def _act(
    endpoints: Mapping[str, Any], act: str, record_ids: Sequence[str], groups: Sequence[str], body: Mapping[str, str]
) -> int:
    """In the order given: the first of a key goes before the later ones."""
    count = 0
    for record_id in record_ids:
        service, number = service_of(record_id, ":")
        async with calling(endpoints, service, endpoints["credentials"]["operator"]) as operator:
            await operator.post(f"/v1/parked/{number}/{act}", body)
        count += 1
    for group in groups:
        consumer, _, error_class = group.partition("/")
        service, _ = service_of(consumer, ".")
        named = {"consumer": consumer, "error_class": error_class, **body}
        async with calling(endpoints, service, endpoints["credentials"]["operator"]) as operator:
            count += (await operator.post(f"/v1/parked/groups/{act}", named))["records"]
    return count


def _named(service: str, record: dict[str, Any]) -> dict[str, Any]:
    behind = record.get("behind")
    more = {"behind": f"{service}:{behind}"} if behind else {}
    return {**record, "record_id": f"{service}:{record['record_id']}", **more}


def as_table(records: Sequence[Mapping[str, Any]]) -> Table:
    table = plain_table("id", "consumer", "reason", "state", "tries", "event", "next try UTC")
    for each in records:
        kind = (each["event_type"] or "").removeprefix("ihala.").removesuffix(".v1")
        tries = "" if each["attempts"] is None else str(each["attempts"])
        due = (each["next_attempt_at"] or "")[:19]
        table.add_row(each["record_id"], each["consumer"], each["error_class"], each["state"], tries, kind, due)
    return table


def as_table_of_groups(groups: Sequence[Mapping[str, Any]]) -> Table:
    table = plain_table("group", "records", "dead", "since UTC")
    for each in groups:
        table.add_row(each["group"], str(each["records"]), str(each["dead"]), each["first_at"][:19])
    return table
