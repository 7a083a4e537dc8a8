"""Sends what is due: a lane for each agency, so that one agency's trouble never delays another.

A lane sends a few messages at a time and keeps a short queue in memory; what does not fit stays in the
database and is claimed when there is room. Messages that were just committed are offered at once, without a
look into the database; the poll finds the rest: retries, leftovers of a killed copy, messages that waited
behind another of their referral. Nothing is sent unless this copy was seen lately (`adapters/claims.py`).

Three tasks: `show`, `poll`, `record`. Before the service stops `drain` is called, then `finish`.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from time import monotonic
from typing import Protocol
from uuid import UUID, uuid4

from ihala_runtime import failpoints, telemetry
from ihala_runtime.background import ended
from ihala_runtime.failures import is_infrastructure
from ihala_runtime.logs import logger
from ihala_runtime.pace import Pace
from opentelemetry.trace import SpanKind

from ihala_notification.domain.attempt import AttemptResult, Failure
from ihala_notification.domain.breaker import Breaker, BreakerState
from ihala_notification.domain.delivery import DueDelivery, Tried
from ihala_notification.domain.endpoint import PROBE_EVERY, Endpoint, EndpointState
from ihala_notification.domain.signing import webhook_headers

LANE_PLACES = 100
ALL_PLACES = 2_000
# Below this a lane asks for more, if there is more.
LANE_LOW = 25
MOST_SENT_AT_ONCE = 500
RECORDED_AT_ONCE = 200
POLL_SECONDS = 1.0
LEAST_REST_SECONDS = 0.03  # a look goes through all agencies; what many ask for meanwhile is one look
SHOW_SECONDS = 1.0
# Shorter than the time after which others take an unseen copy's leases (`claims.UNSEEN_SECONDS`).
SEEN_FOR_SECONDS = 6.5
# A try may take as long as its deadline; one is not started on a lease that might end before it.
LEASE_MARGIN_SECONDS = 35.0
CHANGED_LATELY_SECONDS = 10.0
FULL_LOOK_SECONDS = 60.0
LOST_LOOK_SECONDS = 10.0
MOST_FOLLOWERS = 10_000
PAUSE_SECONDS = 0.5
RECORDED_APART_SECONDS = 0.05  # what a kill leaves unrecorded is told again

WEBHOOK_POINTS = "notification.webhook"

_log = logger(__name__)


class Sender(Protocol):
    async def post(self, address: str, headers: Mapping[str, str], body: bytes) -> AttemptResult: ...


class Claims(Protocol):
    async def show(self, copy_id: UUID) -> None: ...

    async def still_leased(self, copy_id: UUID, delivery_ids: Sequence[UUID]) -> set[UUID]: ...

    async def claim(self, copy_id: UUID, places: Mapping[str, int]) -> list[DueDelivery]: ...

    async def release(self, copy_id: UUID, delivery_ids: Sequence[UUID]) -> None: ...

    async def release_lost(self, copy_id: UUID, known: Sequence[UUID]) -> None: ...

    async def hold_back(self, copy_id: UUID, due: Sequence[DueDelivery], why: Failure, seconds: float) -> None: ...

    async def give_up_old(self, older_than_seconds: float) -> None: ...


class Results(Protocol):
    async def record(self, copy_id: UUID, tried: Sequence[Tried], unwell: Collection[str]) -> list[Tried]: ...


class Endpoints(Protocol):
    async def all_endpoints(self) -> list[Endpoint]: ...

    async def changed_lately(self, seconds: float) -> list[Endpoint]: ...


@dataclass(slots=True)
class Lane:
    """One agency's messages in this copy. has_more: the database may hold more that are due."""

    partner_id: str
    queue: deque[DueDelivery] = field(default_factory=deque)
    in_flight: int = 0
    breaker: Breaker = field(default_factory=Breaker)
    has_more: bool = False

    @property
    def used(self) -> int:
        return len(self.queue) + self.in_flight


class Dispatcher:
    """What this copy of the service sends, and how it goes."""

    def __init__(
        self,
        claims: Claims,
        results: Results,
        endpoints: Endpoints,
        sender: Sender,
        *,
        concurrency: int,
        give_up_after_seconds: float,
        seen_for_seconds: float = SEEN_FOR_SECONDS,
    ) -> None:
        self.copy_id = uuid4()
        self._claims = claims
        self._results = results
        self._endpoint_table = endpoints
        self._sender = sender
        self._concurrency = concurrency
        self._give_up_after_seconds = give_up_after_seconds
        self._seen_for_seconds = seen_for_seconds
        self._endpoints: dict[str, Endpoint] = {}
        self._lanes: dict[str, Lane] = {}
        self._starved: dict[str, Lane] = {}
        self._in_flight: set[asyncio.Task[None]] = set()
        self._trying: set[UUID] = set()
        self._tried: list[Tried] = []
        self._recording = asyncio.Lock()
        self._followers: set[tuple[str, UUID]] = set()
        self._something_tried = asyncio.Event()
        self._wake = asyncio.Event()
        self._seen_until = 0.0
        self._looked_at = self._looked_at_all = 0.0
        self._looked_for_lost = 0.0
        self._stopping = False

    # --- for those who queue messages (adapters.outgoing.Lanes) ---

    def held_back(self, partner_id: str) -> Failure | None:
        endpoint = self._endpoints.get(partner_id)
        if endpoint is None:
            return Failure.NO_ENDPOINT
        if endpoint.health.state is EndpointState.DISABLED:
            return Failure.ENDPOINT_DISABLED
        open_ = self._lane(partner_id).breaker.state(monotonic()) is not BreakerState.CLOSED
        return Failure.ENDPOINT_PAUSED if open_ else None

    def has_room(self, partner_id: str) -> bool:
        lane = self._lane(partner_id)
        room = lane.used < LANE_PLACES and not lane.has_more and not self._stopping
        lane.has_more = lane.has_more or not room
        return room

    def offer(self, due: Sequence[DueDelivery]) -> None:
        for each in due:
            self._lane(each.delivery.partner_id).queue.append(each)
        for partner_id in {each.delivery.partner_id for each in due}:
            self._pump(self._lanes[partner_id])

    def forget(self, delivery_ids: Iterable[UUID]) -> None:
        """Suppressed while they waited here."""
        gone = set(delivery_ids)
        if not gone:
            return
        for lane in self._lanes.values():
            if lane.queue:
                lane.queue = deque(each for each in lane.queue if each.delivery.delivery_id not in gone)

    def expect_follower(self, queue: tuple[str, UUID]) -> None:
        """A message waits behind another of its referral: look for it when that one has ended."""
        if len(self._followers) >= MOST_FOLLOWERS:
            self._followers.clear()  # the poll finds them all the same, a moment later
        self._followers.add(queue)

    def wake(self) -> None:
        """Something changed that the poll should see at once."""
        self._wake.set()

    def endpoint(self, partner_id: str) -> Endpoint | None:
        return self._endpoints.get(partner_id)

    # --- the tasks ---

    async def show(self) -> None:
        """Until cancelled: be seen, so that nobody takes what this copy has leased."""
        while True:
            await _when_possible(self.be_seen())
            await asyncio.sleep(SHOW_SECONDS)

    async def be_seen(self) -> None:
        started = monotonic()
        await self._claims.show(self.copy_id)
        if self._seen_until and started > self._seen_until:
            await self._drop_what_was_taken()
        self._seen_until = started + self._seen_for_seconds
        for lane in self._lanes.values():
            self._pump(lane)

    async def poll(self) -> None:
        """Until cancelled: see changed endpoints, claim what is due."""
        while True:
            await _when_possible(self.look())
            await self._rest()

    async def look(self) -> None:
        """One round of the poll."""
        await self._see_endpoints()
        await self._find_lost()
        places, known = self._places(), self._known()
        for lane in self._lanes.values():
            lane.has_more = False
        claimed = await self._claims.claim(self.copy_id, places)
        if claimed:  # its leases count as free when it was not seen for a while; a try may have ended meanwhile
            known |= self._known()
        self.offer([each for each in claimed if each.delivery.delivery_id not in known])
        for partner_id, count in _counted(claimed).items():
            self._lane(partner_id).has_more |= count == places[partner_id]

    async def record(self) -> None:
        """Until cancelled: write results down, under load many at a time."""
        pace = Pace(RECORDED_APART_SECONDS)
        while True:
            await self._something_tried.wait()
            await pace.turn()
            self._something_tried.clear()
            with pace.batch():
                await self._record_all()

    async def drain(self) -> None:
        """Start nothing more, and wait for the agencies' answers; `record` writes them down as they come."""
        self._stopping = True
        while self._in_flight:
            await asyncio.wait(self._in_flight)

    async def finish(self) -> None:
        """Write down what was answered, give the rest back; who has not answered is told again, under the same id."""
        self._stopping = True
        await ended(list(self._in_flight))
        await self._record_all()
        if queued := self._queued():
            await self._claims.release(self.copy_id, queued)

    # --- sending ---

    def _pump(self, lane: Lane) -> None:
        now = monotonic()
        while lane.queue and lane.in_flight < self._concurrency and self._may_send(now):
            if len(self._in_flight) >= MOST_SENT_AT_ONCE:
                self._starved[lane.partner_id] = lane
                return
            if self._must_hold_back(lane, now):
                return
            due = lane.queue.popleft()
            if due.lease_ends - now > LEASE_MARGIN_SECONDS:
                self._start(lane, due, now)
        if lane.has_more and len(lane.queue) < LANE_LOW:
            self._wake.set()

    def _may_send(self, now: float) -> bool:
        return now < self._seen_until and not self._stopping

    def _start(self, lane: Lane, due: DueDelivery, now: float) -> None:
        lane.in_flight += 1
        self._trying.add(due.delivery.delivery_id)
        lane.breaker.started(now)
        task = asyncio.create_task(self._try(lane, due))
        self._in_flight.add(task)
        task.add_done_callback(self._in_flight.discard)

    async def _try(self, lane: Lane, due: DueDelivery) -> None:
        try:
            tried = await self._send(due)
            self._note(lane, tried.result)
            self._tried.append(tried)
            self._something_tried.set()
        except Exception:
            lane.breaker.failed(monotonic())  # a probe that ended in no way would be the last one
            raise
        finally:
            self._trying.discard(due.delivery.delivery_id)
            lane.in_flight -= 1
            self._pump(lane)
            if self._starved:
                self._pump(self._starved.pop(next(iter(self._starved))))

    def _note(self, lane: Lane, result: AttemptResult) -> None:
        """What the next try should know at once, before it is written down and seen by the poll."""
        if result.is_success:
            lane.breaker.succeeded(monotonic())
        else:
            lane.breaker.failed(monotonic())
        endpoint = self._endpoints.get(lane.partner_id)
        if result.is_gone and endpoint is not None:
            health, _ = endpoint.health.after(result, datetime.now(UTC))
            self._endpoints[lane.partner_id] = replace(endpoint, health=health)

    async def _send(self, due: DueDelivery) -> Tried:
        delivery = due.delivery
        with telemetry.span(
            "webhook",
            SpanKind.CLIENT,
            parent=delivery.traceparent,
            http__request__method="POST",
            ihala__event__type=delivery.event_type,
            ihala__referral__id=str(delivery.referral_id),
            ihala__partner__id=delivery.partner_id,
            ihala__delivery__id=str(delivery.delivery_id),
            ihala__attempt=due.tries + 1,
        ) as span:
            traceparent = telemetry.current_traceparent()
            result = await self._post(self._endpoints.get(delivery.partner_id), due, traceparent)
            if result.status is not None:
                span.set_attribute("http.response.status_code", result.status)
            if result.reason is not None:
                telemetry.mark_failed(span, result.reason)
        return Tried(due, result, datetime.now(UTC), traceparent)

    async def _post(self, endpoint: Endpoint | None, due: DueDelivery, traceparent: str | None) -> AttemptResult:
        if endpoint is None:
            return AttemptResult(None, Failure.NO_ENDPOINT, 0)
        body = due.delivery.body
        headers = webhook_headers(str(due.delivery.delivery_id), body, endpoint.keys, int(time.time()))
        if traceparent is not None:
            headers["traceparent"] = traceparent
        failpoints.reach(WEBHOOK_POINTS, "before")
        result = await self._sender.post(endpoint.url, headers, body)
        failpoints.reach(WEBHOOK_POINTS, "answered")
        return result

    def _must_hold_back(self, lane: Lane, now: float) -> bool:
        endpoint = self._endpoints.get(lane.partner_id)
        if endpoint is not None and endpoint.stopped:
            lane.queue.clear()  # the database holds them as suppressed
            return True
        if endpoint is not None and not endpoint.health.may_be_tried(datetime.now(UTC)):
            self._hold_back(lane, Failure.ENDPOINT_DISABLED, PROBE_EVERY.total_seconds())
            return True
        if not lane.breaker.admits(now):
            self._hold_back(lane, Failure.ENDPOINT_PAUSED, lane.breaker.reopens_in_seconds(now))
            return True
        return False

    def _hold_back(self, lane: Lane, why: Failure, seconds: float) -> None:
        """What waits here goes back to the database until the endpoint may be asked again."""
        held = list(lane.queue)
        lane.queue.clear()
        giving_back = self._claims.hold_back(self.copy_id, held, why, max(seconds, POLL_SECONDS))
        task = asyncio.create_task(_when_possible(giving_back))
        self._in_flight.add(task)
        task.add_done_callback(self._in_flight.discard)

    # --- recording ---

    async def _record_all(self) -> None:
        async with self._recording:
            while self._tried:
                batch = self._tried[:RECORDED_AT_ONCE]
                await self._record_some(batch)
                del self._tried[: len(batch)]

    async def _record_some(self, batch: Sequence[Tried]) -> None:
        """One that cannot be written down holds up no other: its lease ends, and it is tried again."""
        try:
            await self._until_recorded(batch)
        except Exception:
            if len(batch) == 1:
                _log.exception("a result cannot be written down", action="deliver.record")
                return
            for each in batch:
                await self._record_some([each])

    async def _until_recorded(self, batch: Sequence[Tried]) -> None:
        while True:
            try:
                ended = await self._results.record(self.copy_id, batch, self._unwell())
                failpoints.reach(WEBHOOK_POINTS, "recorded")
                self._look_for_followers(ended)
                return
            except Exception as error:
                if not is_infrastructure(error):
                    raise
                _cannot_yet("deliver.record", error)
            await asyncio.sleep(PAUSE_SECONDS)

    def _unwell(self) -> set[str]:
        return {partner_id for partner_id, endpoint in self._endpoints.items() if not endpoint.is_well}

    def _look_for_followers(self, ended: Sequence[Tried]) -> None:
        queues = {each.due.delivery.queue for each in ended}
        if queues & self._followers:
            self._followers -= queues
            self._wake.set()

    # --- the poll ---

    async def _drop_what_was_taken(self) -> None:
        """Not seen for too long: others may have taken leases over; what they took is theirs."""
        _log.warning("not seen in time", action="deliver.unseen")
        mine = await self._claims.still_leased(self.copy_id, self._queued())
        self.forget(set(self._queued()) - mine)

    async def _find_lost(self) -> None:
        now = monotonic()
        if now - self._looked_for_lost >= LOST_LOOK_SECONDS:
            self._looked_for_lost = now
            await self._claims.release_lost(self.copy_id, list(self._known()))

    def _known(self) -> set[UUID]:
        """What is in this copy's hands."""
        return {*self._queued(), *self._trying, *(each.due.delivery.delivery_id for each in self._tried)}

    def _queued(self) -> list[UUID]:
        return [each.delivery.delivery_id for lane in self._lanes.values() for each in lane.queue]

    async def _see_endpoints(self) -> None:
        now = monotonic()
        if not self._looked_at_all or now - self._looked_at_all > FULL_LOOK_SECONDS:
            await self._claims.give_up_old(self._give_up_after_seconds)
            seen = await self._endpoint_table.all_endpoints()
            self._looked_at_all = now
        else:
            seen = await self._endpoint_table.changed_lately(now - self._looked_at + CHANGED_LATELY_SECONDS)
        self._looked_at = now
        self._endpoints.update({endpoint.partner_id: endpoint for endpoint in seen})

    def _places(self) -> dict[str, int]:
        """How many messages each agency's lane can take now."""
        if self._stopping:
            return {}
        free = ALL_PLACES - sum(lane.used for lane in self._lanes.values())
        wanted = {partner_id: self._wanted(endpoint) for partner_id, endpoint in self._endpoints.items()}
        asking = {partner_id: places for partner_id, places in wanted.items() if places > 0}
        fair = max(1, free // len(asking)) if asking and free > 0 else 0
        return {partner_id: min(places, fair) for partner_id, places in asking.items() if fair}

    def _wanted(self, endpoint: Endpoint) -> int:
        if endpoint.stopped:
            return 0
        lane = self._lane(endpoint.partner_id)
        probing = 0 if lane.used else 1
        if endpoint.health.state is EndpointState.DISABLED:
            return probing if endpoint.health.may_be_tried(datetime.now(UTC)) else 0
        match lane.breaker.state(monotonic()):
            case BreakerState.CLOSED:
                return LANE_PLACES - lane.used
            case BreakerState.HALF_OPEN:
                return probing
            case BreakerState.OPEN:
                return 0

    async def _rest(self) -> None:
        await asyncio.sleep(LEAST_REST_SECONDS)
        with suppress(TimeoutError):
            await asyncio.wait_for(self._wake.wait(), POLL_SECONDS - LEAST_REST_SECONDS)
        self._wake.clear()

    def _lane(self, partner_id: str) -> Lane:
        lane = self._lanes.get(partner_id)
        if lane is None:
            lane = self._lanes[partner_id] = Lane(partner_id)
        return lane


def _counted(due: Iterable[DueDelivery]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for each in due:
        counts[each.delivery.partner_id] = counts.get(each.delivery.partner_id, 0) + 1
    return counts


async def _when_possible(doing: Awaitable[None]) -> None:
    """Infrastructure trouble is no reason to stop: what is not done now is done, or not needed, later."""
    try:
        await doing
    except Exception as error:
        if not is_infrastructure(error):
            raise
        _cannot_yet("deliver.wait", error)


def _cannot_yet(action: str, error: Exception) -> None:
    _log.warning("not possible now", action=action, error_class=type(error).__name__)
