"""Judges a fault run by ids, from three sides: what clients were told, what agencies received, what is stored.

G1-G6, G8 and G10 in one place; each finding is a sentence with the id, and a run without findings has passed.
Rule: call it when the faults are over; it waits until nothing is under way, and says so when that takes too long.
"""

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import asyncpg
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from ihala_events.topics import INTAKE_CASE, NOTIFICATION_DELIVERY, REFERRAL_LIFECYCLE
from ihala_runtime import unreadable
from support.databases import asked
from support.fault_load import AGENCIES, CANARY, NO_ANSWER, PATIENCE_SECONDS, History, Load, Webhook
from support.system import System

BETWEEN = (INTAKE_CASE, REFERRAL_LIFECYCLE, NOTIFICATION_DELIVERY)
IN_FLIGHT = len(AGENCIES) * 4 * 2
"""Webhooks that a kill may repeat: to each agency four at a time, and as many answered but not written down."""
HEAL_SECONDS = 60.0
HONEST = (201, 422, 503, NO_ANSWER)
LOOK_SECONDS = 0.5
SENT = "ihala.referral.sent.v1"
DELETE = "ihala.referral.deletion-requested.v1"
LIFE = (
    "ihala.referral.proposed.v1",
    "ihala.referral.sent.v1",
    "ihala.referral.acknowledged.v1",
    "ihala.referral.accepted.v1",
    "ihala.referral.started.v1",
    "ihala.referral.closed.v1",
)
"""What a referral goes through where its agency is diligent and nothing else happens."""


@dataclass
class Verdict:
    """repeats: webhooks that arrived more than once; without faults there are none."""

    findings: list[str] = field(default_factory=list)
    accepted: int = 0
    refused: int = 0
    repeats: int = 0
    healed_seconds: float = 0.0

    def __str__(self) -> str:
        counted = f"{self.accepted} accepted, {self.refused} refused, {self.repeats} repeated webhooks"
        lines = [f"{counted}, healed in {self.healed_seconds:.1f} s"]
        return "\n".join(lines + self.findings[:40])


@dataclass(frozen=True)
class Stored:
    """What the databases and the broker hold when nothing is under way."""

    cases: Mapping[str, Any]
    requests: frozenset[str]
    referrals: Mapping[str, Any]
    events: Mapping[str, Any]
    deliveries: Sequence[Any]
    published: Mapping[str, list[str]]


async def judge(system: System, load: Load, *, repeats_at_most: int, within_seconds: float = HEAL_SECONDS) -> Verdict:
    """repeats_at_most: webhooks in flight when a process was killed, added up."""
    verdict = Verdict()
    started = time.monotonic()
    await asyncio.wait_for(load.agencies_finished(), PATIENCE_SECONDS)
    verdict.findings += await _until_quiet(system, load, within_seconds)
    if verdict.findings:
        print("\n".join(verdict.findings))  # noqa: T201
        await _until_quiet(system, load, within_seconds)  # what is late may still come: is it lost as well?
    verdict.healed_seconds = time.monotonic() - started
    stored = await _stored(system)
    history = load.history
    verdict.accepted, verdict.refused = len(history.accepted), len(history.refused)
    verdict.repeats = history.repeats
    history.repeats_are_judged()
    for rule in RULES:
        verdict.findings += rule(history, stored)
    if verdict.repeats > repeats_at_most:
        verdict.findings.append(f"G4: {verdict.repeats} repeated webhooks, at most {repeats_at_most} were in flight")
    verdict.findings += await asyncio.to_thread(_canaries_in_logs, system)
    print(f"\n{verdict}")  # noqa: T201
    return verdict


# --- waiting


async def _until_quiet(system: System, load: Load, within_seconds: float) -> list[str]:
    """G8: without anybody's help, all lag is gone, all outboxes are empty, no delivery waits."""
    deadline = time.monotonic() + within_seconds
    while True:
        try:
            under_way = await _under_way(system, load)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            under_way = [f"database: {type(error).__name__}"]
        if not under_way:
            return []
        if time.monotonic() > deadline:
            return [f"G8: after {within_seconds:.0f} s: {each}" for each in under_way]
        await asyncio.sleep(LOOK_SECONDS)


async def _under_way(system: System, load: Load) -> list[str]:
    found = []
    for service in ("intake", "referral", "notification"):
        if rows := await _value(system, service, "SELECT count(*) FROM outbox"):
            found.append(f"{rows} events of {service} are not published")
        if rows := await _value(system, service, "SELECT count(*) FROM parked WHERE state = 'waiting'"):
            found.append(f"{rows} records are parked in {service}")
    if rows := await _value(system, "notification", "SELECT count(*) FROM delivery WHERE state = 'pending'"):
        found.append(f"{rows} deliveries wait")
    status = await asyncio.to_thread(system.status)
    found += [f"{group} lags by {lag}" for group, lag in status["lag"].items() if lag]
    if load.agencies_answering:  # the last that was told may only begin
        found.append(f"{load.agencies_answering} agencies answer")
    return found


async def _value(system: System, service: str, query: str) -> Any:
    return (await asked(system, service, query))[0][0]


# --- reading


async def _stored(system: System) -> Stored:
    events: dict[str, Any] = {}
    for service in ("intake", "referral", "notification"):
        for row in await asked(system, service, "SELECT event_id, aggregate_id, sequence, type, topic FROM event"):
            events[str(row["event_id"])] = row
    referral_rows = await asked(
        system,
        "referral",
        "SELECT referral_id, case_ref, state, partner_id, attempt_no FROM referral",
    )
    return Stored(
        cases={row["case_ref"]: row for row in await asked(system, "intake", "SELECT case_ref FROM case_file")},
        requests=frozenset(row["key"] for row in await asked(system, "intake", "SELECT key FROM request")),
        referrals={str(row["referral_id"]): row for row in referral_rows},
        events=events,
        deliveries=await asked(
            system, "notification", "SELECT referral_id, partner_id, event_type, event_id, channel, state FROM delivery"
        ),
        published=await _published(system.endpoints["kafka"]),
    )


async def _published(bootstrap: str) -> dict[str, list[str]]:
    """ce_id of every record of ours, by topic."""
    ids: dict[str, list[str]] = {topic.name: [] for topic in BETWEEN}
    for record in await everything(bootstrap):
        headers = dict(record.headers)
        if headers.get("ce_source", b"").startswith(b"/ihala/"):
            ids[record.topic].append(headers["ce_id"].decode())
    return ids


async def everything(bootstrap: str) -> list[ConsumerRecord]:
    """Every record of the topics between the services."""
    unreadable.prepare()  # poison lies there as well
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest", enable_auto_commit=False)
    await consumer.start()
    try:
        partitions = [TopicPartition(topic.name, number) for topic in BETWEEN for number in range(topic.partitions)]
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        await consumer.seek_to_beginning(*partitions)
        found: list[ConsumerRecord] = []
        while any([await consumer.position(each) < ends[each] for each in partitions]):
            taken = await consumer.getmany(timeout_ms=500)
            found += [record for records in taken.values() for record in records]
        return found
    finally:
        await consumer.stop()


# --- the rules


def _honest(history: History, _stored: Stored) -> Iterator[str]:
    """Whoever cannot be served is told to come again, and nothing else."""
    for each in (*history.handed_in, *history.refused):
        if wrong := {status for status in each.statuses if status not in HONEST}:
            yield f"G1: intake {each.key} was answered {wrong}"
    for (referral_id, move), status in history.moves.items():
        if status >= 500:
            yield f"G1: {move} of {referral_id} was answered {status}"
    for case_ref, status in history.withdrawn.items():
        if status != 200:
            yield f"G1: the withdrawal of {case_ref} was answered {status}"


def _answered(history: History, stored: Stored) -> Iterator[str]:
    """G1, first half: what was accepted is stored as a case and one referral, and nothing else is."""
    told = {answer["case_ref"] for answer in history.accepted}
    for each in history.handed_in:
        if each.answer is None:
            yield f"G1: intake {each.key} was never accepted: {each.statuses[-3:]}"
    for case_ref in told - stored.cases.keys():
        yield f"G1: {case_ref} was accepted and is not stored"
    for case_ref in stored.cases.keys() - told:
        yield f"G2: {case_ref} is stored and was never accepted"
    by_case = Counter(row["case_ref"] for row in stored.referrals.values())
    for case_ref in told:
        if by_case[case_ref] != 1:
            yield f"G1: {case_ref} has {by_case[case_ref]} referrals"


def _nothing_refused_is_stored(history: History, stored: Stored) -> Iterator[str]:
    for each in history.refused:
        if each.statuses[-1] != 422:
            yield f"G2: a wrong intake was answered {each.statuses}"
        if each.key in stored.requests:
            yield f"G2: refused intake {each.key} is stored"


def _same_answer(history: History, _stored: Stored) -> Iterator[str]:
    """G3: the same key again, the same answer."""
    for each in history.handed_in:
        if each.answer_again is not None and each.answer_again != each.answer:
            yield f"G3: intake {each.key} was answered in two ways"


def _arrived_once(history: History, stored: Stored) -> Iterator[str]:
    """G1, second half: the agency of each attempt was told; one delivery for each event and channel."""
    told = {(hook.referral_id, hook.partner_id) for hook in history.webhooks if hook.type == SENT}
    reached = told | _given_up(stored)
    for referral_id, row in stored.referrals.items():
        if row["state"] != "withdrawn" and (referral_id, row["partner_id"]) not in reached:
            yield f"G1: {row['partner_id']} was never told of {referral_id}"
    seen = Counter((d["event_id"], d["partner_id"], d["channel"]) for d in stored.deliveries)
    for (event_id, partner_id, channel), count in seen.items():
        if count > 1:
            yield f"G4: {count} deliveries of {event_id} to {partner_id} by {channel}"


def _given_up(stored: Stored) -> set[tuple[str, str]]:
    """(referral, agency) of which something was tried for as long as it is worth, and is shown to an operator."""
    return {(str(d["referral_id"]), d["partner_id"]) for d in stored.deliveries if d["state"] == "exhausted"}


def _taken_back(history: History, stored: Stored) -> Iterator[str]:
    """G1: a consent that is withdrawn ends the referral, and whoever was told of it is told to delete, afterwards."""
    given_up = _given_up(stored)
    last_told = {(hook.referral_id, hook.partner_id): hook.type for hook in _first_of_each(history)}
    for referral_id, row in stored.referrals.items():
        if row["case_ref"] in history.withdrawn and row["state"] not in ("withdrawn", "closed"):
            yield f"G1: {referral_id} is {row['state']}, its consent is withdrawn"
    for (referral_id, partner_id), last in last_told.items():
        withdrawn = stored.referrals[referral_id]["case_ref"] in history.withdrawn
        if withdrawn and last != DELETE and (referral_id, partner_id) not in given_up:
            yield f"G1: {partner_id} was told {last} of {referral_id} last, its consent is withdrawn"


def _same_bytes(history: History, _stored: Stored) -> Iterator[str]:
    """G4: a repetition has the same id and the same bytes; one event is one id."""
    bodies: dict[str, set[str]] = defaultdict(set)
    ids: dict[tuple[str, str, str, int], set[str]] = defaultdict(set)
    for hook in history.webhooks:
        bodies[hook.webhook_id].add(hook.body_hash)
        if hook.type == SENT:
            ids[hook.referral_id, hook.partner_id, hook.type, hook.attempt_no].add(hook.webhook_id)
    yield from (f"G4: webhook {each} came with different bytes" for each, hashes in bodies.items() if len(hashes) > 1)
    yield from (f"G4: {key} was told under {len(each)} ids" for key, each in ids.items() if len(each) > 1)


def _in_order(history: History, _stored: Stored) -> Iterator[str]:
    """G5: an agency's messages of one referral come in the order of its attempts, the recall after what it recalls."""
    by_pair: dict[tuple[str, str], list[Webhook]] = defaultdict(list)
    for hook in _first_of_each(history):
        by_pair[hook.referral_id, hook.partner_id].append(hook)
    for (referral_id, partner_id), hooks in by_pair.items():
        attempts = [hook.attempt_no for hook in hooks]
        if attempts != sorted(attempts):
            yield f"G5: {partner_id} was told of {referral_id} in the order {attempts}"


def _first_of_each(history: History) -> list[Webhook]:
    """Without repetitions, in the order in which each came first."""
    first: dict[str, Webhook] = {}
    for hook in history.webhooks:
        first.setdefault(hook.webhook_id, hook)
    return list(first.values())


def _legal(history: History, stored: Stored) -> Iterator[str]:
    """G6: sequences without a gap or a twin; a referral that was served went through its life in order."""
    by_aggregate: dict[str, list[Any]] = defaultdict(list)
    for row in stored.events.values():
        if row["topic"] in (REFERRAL_LIFECYCLE.name, INTAKE_CASE.name):
            by_aggregate[str(row["aggregate_id"])].append(row)
    for aggregate_id, rows in by_aggregate.items():
        numbers = sorted(row["sequence"] for row in rows)
        if numbers != list(range(1, len(numbers) + 1)):
            yield f"G6: {aggregate_id} has the sequences {numbers}"
    for referral_id, row in stored.referrals.items():
        types = [each["type"] for each in sorted(by_aggregate[referral_id], key=lambda each: each["sequence"])]
        if row["attempt_no"] == 1 and "ihala.referral.escalated.v1" not in types:
            yield from _plain_life(referral_id, row, types, history)


def _plain_life(referral_id: str, row: Any, types: Sequence[str], history: History) -> Iterator[str]:
    lived = tuple(each for each in types if each in LIFE)
    if lived != LIFE[: len(lived)]:
        yield f"G6: {referral_id} lived {lived}"
    closed = history.moves.get((referral_id, "close")) == 200
    if closed != (row["state"] == "closed"):
        yield f"G6: {referral_id} is {row['state']}, its agency was told {'closed' if closed else 'nothing'}"


def _published_is_stored(_history: History, stored: Stored) -> Iterator[str]:
    """No zombie (stored, never published), no ghost (published, never stored)."""
    published = {event_id for ids in stored.published.values() for event_id in ids}
    for event_id, row in stored.events.items():
        if row["topic"] in stored.published and event_id not in published:
            yield f"G10: {row['type']} {event_id} was never published"
    yield from (f"G10: {each} was published and is not stored" for each in published - stored.events.keys())


RULES = (
    _honest,
    _answered,
    _nothing_refused_is_stored,
    _same_answer,
    _arrived_once,
    _taken_back,
    _same_bytes,
    _in_order,
    _legal,
    _published_is_stored,
)


def _canaries_in_logs(system: System) -> Iterable[str]:
    """G7, what a fault may bring out: no name in a log or a dump of a process that was killed."""
    return [
        f"G7: {path.name} holds a name"
        for path in (system.folder / "logs").iterdir()
        if CANARY.encode() in path.read_bytes()
    ]
