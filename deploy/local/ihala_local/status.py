"""`ihala status`: what runs, how far behind consumers are, how old the oldest unpublished event is.

Rule: the lag comes from the broker, because a consumer that is down reports none; only for a group that has
not committed yet, and for what nobody else knows, the services' `/metrics` are read.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from ihala_runtime.kafka_address import KafkaAddress
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from ihala_local.given_kafka import kafka_at
from ihala_local.processes import process_of
from ihala_local.stack import SERVICES
from ihala_local.state import State

TIMEOUT = aiohttp.ClientTimeout(total=3)
BROKER_SECONDS = 8
UNRESOLVED = {"waiting", "dead"}

Place = tuple[str, str, int]
"""Group, topic, partition."""


@dataclass(slots=True)
class Figures:
    """What the services' metrics say, copies of one service taken together."""

    lag: dict[Place, int] = field(default_factory=dict)
    outbox_oldest_seconds: dict[str, float] = field(default_factory=dict)
    parked: dict[tuple[str, str], int] = field(default_factory=dict)  # by consumer and state

    def add(self, service: str, samples: Iterable[Sample]) -> None:
        for sample in samples:
            labels = sample.labels
            match sample.name:
                case "ihala_consumer_lag_records":
                    place = (labels["group"], labels["topic"], int(labels["partition"]))
                    self.lag[place] = max(self.lag.get(place, 0), int(sample.value))
                case "ihala_outbox_oldest_seconds":
                    known = self.outbox_oldest_seconds.get(service, 0.0)
                    self.outbox_oldest_seconds[service] = max(known, round(sample.value, 3))
                case "ihala_parked_records":
                    kind = (labels["consumer"], labels["state"])
                    self.parked[kind] = max(self.parked.get(kind, 0), int(sample.value))


async def status_of(state: State) -> dict[str, Any]:
    """The answer of `status --json`. NotRunning when no `up` holds the state."""
    supervision = state.running()
    endpoints = state.endpoints() if state.endpoints_file.exists() else {}
    ports = state.ports()
    figures, committed = await asyncio.gather(
        figures_of(supervision.programs, ports), lag_at_the_broker(endpoints.get("kafka"))
    )
    return {
        "phase": supervision.phase.value,
        "processes": [process_status(state, name) for name in supervision.programs],
        "lag": sum_by_group(figures.lag | committed),
        "outbox_oldest_seconds": figures.outbox_oldest_seconds,
        "parked": sum(count for (_, kind), count in figures.parked.items() if kind in UNRESOLVED),
    }


def process_status(state: State, name: str) -> dict[str, Any]:
    """`pid` is the program's own, not its wrapper's; null while it is between two lives."""
    process = process_of(state.folders.pid_file_of(name))
    return {
        "name": name,
        "pid": process.pid if process else None,
        "state": "running" if process else "restarting",
    }


async def figures_of(programs: Iterable[str], ports: Mapping[str, int]) -> Figures:
    figures = Figures()
    async with aiohttp.ClientSession(timeout=TIMEOUT) as session:
        for name in programs:
            service = name.rpartition("-")[0]
            if service in SERVICES:
                figures.add(service, await samples_of(session, f"http://127.0.0.1:{ports[name]}/metrics"))
    return figures


async def samples_of(session: aiohttp.ClientSession, url: str) -> list[Sample]:
    """Nothing from a service that does not answer: it is shown as restarting."""
    try:
        async with session.get(url) as answer:
            text = await answer.text()
    except (aiohttp.ClientError, TimeoutError):
        return []
    return [sample for family in text_string_to_metric_families(text) for sample in family.samples]


async def lag_at_the_broker(bootstrap: str | None) -> dict[Place, int]:
    """Empty while the broker does not answer."""
    if bootstrap is None:
        return {}
    try:
        async with asyncio.timeout(BROKER_SECONDS):
            return await committed_lag(kafka_at(bootstrap))
    except (KafkaError, OSError, TimeoutError):
        return {}


async def committed_lag(kafka: KafkaAddress) -> dict[Place, int]:
    committed = await committed_offsets(kafka)
    if not committed:
        return {}
    consumer = AIOKafkaConsumer(**kafka.options())
    await consumer.start()
    try:
        ends = await consumer.end_offsets({partition for _, partition in committed})
    finally:
        await consumer.stop()
    return {
        (group, partition.topic, partition.partition): max(ends[partition] - offset, 0)
        for (group, partition), offset in committed.items()
        if partition in ends
    }


async def committed_offsets(kafka: KafkaAddress) -> dict[tuple[str, TopicPartition], int]:
    admin = AIOKafkaAdminClient(**kafka.options())
    await admin.start()
    try:
        groups = [group for group, _ in await admin.list_consumer_groups()]
        offsets = await asyncio.gather(*(admin.list_consumer_group_offsets(group) for group in groups))
    finally:
        await admin.close()
    return {
        (group, partition): known.offset
        for group, of_group in zip(groups, offsets, strict=True)
        for partition, known in of_group.items()
        if known.offset >= 0
    }


def sum_by_group(lag: Mapping[Place, int]) -> dict[str, int]:
    groups: defaultdict[str, int] = defaultdict(int)
    for (group, _, _), records in lag.items():
        groups[group] += records
    return dict(sorted(groups.items()))
