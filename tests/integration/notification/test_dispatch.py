"""From a referral event to the agency, over a real database: what is sent, when, in which order, and once."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from ihala_notification.adapters.delivery_log import Replay
from ihala_notification.adapters.reconciliation import MESSAGES
from ihala_notification.bootstrap import WAITING
from ihala_notification.domain.message import delivery_id
from ihala_runtime.clock_set_back import follow
from ihala_runtime.outbox import NewEvent
from ihala_runtime.reconciliation import Span
from prometheus_client import REGISTRY
from support.notification import NotificationWorld, ReferralStory, a_partner, notification_world
from support.servers import NewDatabase
from support.waiting import wait_until

ESSP, HOSPITAL = "essp-agadir", "hos-agadir"
ESSP_ADDRESS = "https://essp-agadir.example/hook"


@pytest.fixture
async def world(new_database: NewDatabase) -> AsyncIterator[NotificationWorld]:
    async with notification_world(new_database) as (world,):
        await world.know(a_partner(ESSP), a_partner(HOSPITAL))
        await world.listen(ESSP)
        await world.listen(HOSPITAL)
        yield world


async def test_a_sent_referral_reaches_its_agency_at_once(world: NotificationWorld) -> None:
    story = ReferralStory()
    event = story.event("sent")

    await world.tell(event)
    await world.settled(1)

    (message,) = world.sender.sent
    expected_id = str(delivery_id(event.event_id, ESSP))
    assert message.address == ESSP_ADDRESS
    assert (message.headers["webhook-id"], message.body["id"]) == (expected_id, expected_id)
    assert message.body["data"]["referral_id"] == str(story.referral_id)
    (receipt,) = await world.published()
    assert receipt["event_id"] == str(event.event_id)
    assert (receipt["channel"], receipt["attempt"], receipt["status"]) == ("webhook", 1, 200)
    assert await world.states() == [("sent", "delivered")]


async def test_the_same_event_twice_is_told_once(world: NotificationWorld) -> None:
    event = ReferralStory().event("sent")

    await world.tell(event, event)
    await world.tell(event)
    await world.settled(1)

    assert len(world.sender.sent) == 1


async def test_an_event_that_the_inbox_has_forgotten_is_told_of_once_all_the_same(world: NotificationWorld) -> None:
    await world.know(a_partner(ESSP, channels=["webhook", "kafka"]))
    event = ReferralStory().event("sent")
    await world.tell(event)
    await world.settled(1)
    before = await world.rows("SELECT event_id FROM event ORDER BY event_id")

    await world.rows("DELETE FROM inbox")
    await world.tell(event)

    assert await world.rows("SELECT event_id FROM event ORDER BY event_id") == before
    assert await world.rows("SELECT 1 FROM parked") == []
    assert len(world.sender.sent) == 1


async def test_events_that_tell_an_agency_nothing_are_passed_over(world: NotificationWorld) -> None:
    story = ReferralStory()

    await world.tell(*(story.event(name) for name in ("proposed", "acknowledged", "accepted", "escalated")))

    assert await world.states() == []
    assert await world.rows("SELECT 1 FROM parked") == []


async def test_an_event_for_an_agency_not_known_yet_is_parked_until_it_is(world: NotificationWorld) -> None:
    await world.tell(ReferralStory().event("sent", partner_id="new-agency"))
    (parked,) = await world.rows("SELECT state, error_class FROM parked")
    assert (parked["state"], parked["error_class"]) == ("waiting", "unknown-partner")

    await world.know(a_partner("new-agency"))
    await world.listen("new-agency")
    await world.rows("UPDATE parked SET next_attempt_at = clock_timestamp()")
    retrying = asyncio.create_task(world.runner.retry_parked())

    await wait_until(lambda: world.sender.types("https://new-agency.example/hook") == ["sent"])
    world.runner.stop()
    await retrying


async def test_a_failed_try_is_told_and_repeated_with_the_same_id_and_bytes(world: NotificationWorld) -> None:
    world.sender.statuses[ESSP_ADDRESS] = 503
    before = datetime.now(UTC)

    await world.tell(ReferralStory().event("sent"))
    await world.settled(1)

    (failed,) = await world.published("attempt-failed")
    assert (failed["attempt"], failed["status"], failed["reason"]) == (1, 503, "status-503")
    next_at = datetime.fromisoformat(failed["next_attempt_at"])
    assert timedelta(seconds=5) <= next_at - before <= timedelta(seconds=7)

    await world.dispatcher.look()
    assert len(world.sender.sent) == 1  # its time has not come

    world.sender.statuses.clear()
    await world.due_now()
    await world.settled(2)
    first, second = world.sender.sent
    assert (first.raw, first.headers["webhook-id"]) == (second.raw, second.headers["webhook-id"])
    assert [r["attempt"] for r in await world.published("delivered")] == [2]


async def test_after_the_last_try_it_is_exhausted_and_visible(new_database: NewDatabase) -> None:
    async with notification_world(new_database, delays_seconds=(0, 0, 0)) as (world,):
        await world.know(a_partner(ESSP))
        world.sender.statuses[await world.listen(ESSP)] = 500

        await world.tell(ReferralStory().event("sent"))
        for tries in (1, 2, 3):
            await world.settled(tries)
            await world.dispatcher.look()

        assert [r["attempt"] for r in await world.published("attempt-failed")] == [1, 2]
        assert [r["attempt"] for r in await world.published("exhausted")] == [3]
        assert await world.states() == [("sent", "exhausted")]


async def test_a_referrals_messages_go_to_one_agency_in_order(world: NotificationWorld) -> None:
    story = ReferralStory()
    gate = world.sender.gates[ESSP_ADDRESS] = asyncio.Event()

    await world.tell(story.event("sent"), story.event("reminder"))
    await world.tell(story.event("reminder"))
    await world.dispatcher.look()
    assert world.sender.types() == ["sent"]

    gate.set()
    polling = asyncio.create_task(world.dispatcher.poll())
    await world.settled(3)
    polling.cancel()

    assert world.sender.types() == ["sent", "reminder", "reminder"]


async def test_one_agency_that_hangs_does_not_delay_another(world: NotificationWorld) -> None:
    world.sender.gates[ESSP_ADDRESS] = asyncio.Event()

    await world.tell(*(ReferralStory().event("sent") for _ in range(20)))
    await world.tell(ReferralStory().event("sent", partner_id=HOSPITAL))
    await world.settled(1)

    assert len(world.sender.types(ESSP_ADDRESS)) == 4  # as many at a time as its lane allows
    assert [r["partner_id"] for r in await world.published("delivered")] == [HOSPITAL]
    world.sender.gates[ESSP_ADDRESS].set()
    await world.settled(21)


@pytest.mark.parametrize("ending", ["declined", "closed", "withdrawn"])
async def test_a_queued_message_whose_attempt_ended_is_suppressed(world: NotificationWorld, ending: str) -> None:
    story = ReferralStory()
    world.sender.statuses[ESSP_ADDRESS] = 503
    await world.tell(story.event("sent"))
    await world.settled(1)

    await world.tell(story.event(ending))
    await world.due_now()

    assert await world.states() == [("sent", "suppressed")]
    assert world.sender.types() == ["sent"]
    (suppressed,) = await world.published("suppressed")
    assert (suppressed["reason"], suppressed["attempt"]) == ("attempt-ended", 1)


async def test_a_recall_goes_out_after_the_message_it_recalls_was_taken_back(world: NotificationWorld) -> None:
    story = ReferralStory()
    world.sender.statuses[ESSP_ADDRESS] = 503
    await world.tell(story.event("sent"))
    await world.settled(1)
    world.sender.statuses.clear()

    await world.tell(story.event("recalled"))
    await world.settled(2)

    assert world.sender.types() == ["sent", "recalled"]
    assert await world.states() == [("sent", "suppressed"), ("recalled", "delivered")]


async def test_sent_and_declined_in_one_batch_tell_nobody(world: NotificationWorld) -> None:
    story = ReferralStory()

    await world.tell(story.event("sent"), story.event("declined"))
    await world.dispatcher.look()

    assert world.sender.sent == []
    assert await world.states() == [("sent", "suppressed")]


async def test_a_reroute_takes_back_what_the_first_agency_did_not_get(world: NotificationWorld) -> None:
    story = ReferralStory()
    world.sender.statuses[ESSP_ADDRESS] = 503
    await world.tell(story.event("sent"))
    await world.settled(1)

    await world.tell(story.event("rerouted"), story.event("sent", partner_id=HOSPITAL, attempt_no=2))
    await world.settled(2)

    assert await world.states() == [("sent", "suppressed"), ("sent", "delivered")]


async def test_an_event_told_again_after_its_attempt_ended_is_withheld(world: NotificationWorld) -> None:
    story = ReferralStory()
    late = story.event("sent")
    await world.tell(story.event("declined"))

    await world.tell(late)

    assert world.sender.sent == []
    assert await world.states() == [("sent", "suppressed")]
    assert [r["event_id"] for r in await world.published("suppressed")] == [str(late.event_id)]


async def test_an_agency_on_kafka_gets_a_copy_under_the_webhooks_id(world: NotificationWorld) -> None:
    await world.know(a_partner(ESSP, channels=["webhook", "kafka"]))
    event = ReferralStory().event("sent", need_code="SOC-GBV")

    await world.tell(event)
    await world.settled(1)

    (copy,) = await world.rows("SELECT * FROM event WHERE topic = 'party.essp-agadir.out.v1'")
    headers = copy["headers"]
    assert copy["event_id"] == delivery_id(event.event_id, ESSP)
    assert headers["ce_source"] == "/ihala/notification"
    assert headers["ce_type"] == "ihala.referral.sent.v1"
    assert headers["ce_causationid"] == str(event.event_id)
    assert json.loads(copy["payload"]) == world.sender.sent[0].body
    assert world.sender.sent[0].body["data"]["need_code"] == "RESTRICTED"
    channels = [receipt["channel"] for receipt in await world.published("delivered")]
    assert sorted(channels) == ["kafka", "webhook"]


async def test_an_agency_without_an_endpoint_is_told_when_it_has_one(world: NotificationWorld) -> None:
    await world.know(a_partner("late"))

    await world.tell(ReferralStory().event("sent", partner_id="late"))
    (receipt,) = await world.published()
    assert (receipt["reason"], receipt["attempt"]) == ("no-endpoint", 0)

    await world.listen("late")
    await world.settled(1)
    assert world.sender.types("https://late.example/hook") == ["sent"]


async def test_an_endpoint_that_says_gone_is_disabled_and_what_waits_is_kept(world: NotificationWorld) -> None:
    world.sender.statuses[ESSP_ADDRESS] = 410
    await world.tell(ReferralStory().event("sent"))
    await world.settled(1)
    (disabled,) = await world.published("endpoint-disabled")
    assert (disabled["partner_id"], disabled["reason"]) == (ESSP, "gone")

    await world.dispatcher.look()
    await world.tell(ReferralStory().event("sent"))
    await world.due_now()
    assert len(world.sender.sent) == 1

    world.sender.statuses.clear()
    await world.listen(ESSP)
    await world.dispatcher.look()
    await world.settled(3)
    assert [each["reason"] for each in await world.published("endpoint-recovered")] == ["registered-again"]
    assert await world.states() == [("sent", "delivered"), ("sent", "delivered")]


async def test_a_disabled_endpoint_is_probed_with_one_message_and_comes_back(world: NotificationWorld) -> None:
    world.sender.statuses[ESSP_ADDRESS] = 410
    await world.tell(ReferralStory().event("sent"))
    await world.settled(1)
    await world.dispatcher.look()
    await world.tell(*(ReferralStory().event("sent") for _ in range(3)))
    world.sender.statuses.clear()

    a_day_later = "UPDATE endpoint SET probe_at = clock_timestamp(), changed_at = clock_timestamp()"
    await world.rows(f"{a_day_later} WHERE state = 'disabled'")
    await world.due_now()
    await world.settled(2)
    assert len(world.sender.sent) == 2

    await world.dispatcher.look()
    await world.settled(5)
    assert len(await world.published("endpoint-recovered")) == 1


async def test_ten_failures_open_the_breaker_and_the_rest_waits_untried(world: NotificationWorld) -> None:
    world.sender.statuses[ESSP_ADDRESS] = 500
    events: list[NewEvent] = [ReferralStory().event("sent") for _ in range(30)]

    await world.tell(*events)

    async def all_receipted() -> bool:
        receipts = {receipt["event_id"] for receipt in await world.published()}
        return receipts == {str(event.event_id) for event in events}

    await wait_until(lambda: all_receipted())
    assert 10 <= len(world.sender.sent) <= 13
    reasons = {receipt["reason"] for receipt in await world.published("attempt-failed")}
    assert reasons == {"status-500", "endpoint-paused"}


async def test_two_copies_never_send_the_same_delivery_at_once(new_database: NewDatabase) -> None:
    async with notification_world(new_database, copies=2) as (first, second):
        await first.know(a_partner(ESSP))
        await first.listen(ESSP)
        await second.dispatcher.look()
        first.sender.statuses[ESSP_ADDRESS] = 503
        await first.tell(*(ReferralStory().event("sent") for _ in range(8)))
        await first.settled(8)
        first.sender.statuses.clear()

        await first.rows("UPDATE delivery SET next_attempt_at = clock_timestamp()")
        await asyncio.gather(*(copy.dispatcher.look() for copy in (first, second, first, second)))
        await first.settled(16)
        await asyncio.gather(first.dispatcher.look(), second.dispatcher.look())

        assert len(first.sender.sent) == 16
        assert {state for _, state in await first.states()} == {"delivered"}


async def test_the_leases_of_a_killed_copy_are_taken_over(new_database: NewDatabase) -> None:
    async with notification_world(new_database, copies=2) as (killed, other):
        await killed.know(a_partner(ESSP))
        await killed.listen(ESSP)
        gate = killed.sender.gates[ESSP_ADDRESS] = asyncio.Event()
        await killed.tell(*(ReferralStory().event("sent") for _ in range(6)))
        await other.dispatcher.look()
        assert len(killed.sender.sent) == 4

        await killed.stop()
        await other.rows(
            "UPDATE service_copy SET seen_at = clock_timestamp() - interval '8 s' WHERE copy_id = $1",
            killed.dispatcher.copy_id,
        )
        killed.sender.gates.clear()
        await other.dispatcher.look()
        await other.settled(6)

        assert {state for _, state in await other.states()} == {"delivered"}
        gate.set()


async def test_leases_of_a_copy_that_died_before_the_clock_was_set_back_are_taken_over(
    new_database: NewDatabase,
) -> None:
    async with notification_world(new_database, copies=2) as (killed, other):
        await killed.know(a_partner(ESSP))
        await killed.listen(ESSP)
        killed.sender.gates[ESSP_ADDRESS] = asyncio.Event()
        await killed.tell(ReferralStory().event("sent"))
        await killed.stop()
        await other.rows(
            "UPDATE service_copy SET seen_at = clock_timestamp() + interval '1 hour' WHERE copy_id = $1",
            killed.dispatcher.copy_id,
        )

        killed.sender.gates.clear()
        await other.dispatcher.look()
        await other.settled(1)

        assert await other.states() == [("sent", "delivered")]


async def test_a_try_that_waits_when_the_clock_is_set_back_waits_no_longer(world: NotificationWorld) -> None:
    world.sender.statuses[ESSP_ADDRESS] = 503
    await world.tell(ReferralStory().event("sent"))
    await world.settled(1)
    await world.rows("UPDATE delivery SET next_attempt_at = next_attempt_at + interval '1 hour'")
    await world.rows("UPDATE clock_mark SET at = clock_timestamp() + interval '1 hour'")

    await follow(world.database, WAITING)

    (row,) = await world.rows("SELECT next_attempt_at - clock_timestamp() AS waits FROM delivery")
    assert row["waits"] < timedelta(seconds=6)


async def test_a_copy_that_was_paused_sends_nothing_that_another_took_over(new_database: NewDatabase) -> None:
    async with notification_world(new_database, copies=2, seen_for_seconds=0.4) as (paused, other):
        await paused.know(a_partner(ESSP))
        await paused.listen(ESSP)
        await paused.stop()
        await asyncio.sleep(0.4)  # the pause itself: what follows must find it not seen lately
        gone = paused.dispatcher.copy_id
        await paused.tell(*(ReferralStory().event("sent") for _ in range(3)))
        assert paused.sender.sent == []  # leased, but not seen lately

        await other.rows("UPDATE service_copy SET seen_at = '2020-01-01' WHERE copy_id = $1", gone)
        await other.dispatcher.be_seen()
        await other.dispatcher.look()
        await other.settled(3)
        await paused.dispatcher.be_seen()

        assert len(paused.sender.sent) == 3
        assert {state for _, state in await other.states()} == {"delivered"}


async def test_of_results_that_are_written_together_one_without_its_lease_decides_nothing(
    world: NotificationWorld,
) -> None:
    gate = world.sender.gates[ESSP_ADDRESS] = asyncio.Event()
    lost, kept = ReferralStory().event("sent"), ReferralStory().event("sent")
    await world.tell(lost, kept)
    await world.rows("UPDATE delivery SET lease_owner = gen_random_uuid() WHERE event_id = $1", lost.event_id)

    gate.set()
    await world.settled(2)

    assert await world.states() == [("sent", "pending"), ("sent", "delivered")]
    (receipt,) = await world.published()
    assert receipt["event_id"] == str(kept.event_id)
    (row,) = await world.rows("SELECT tries, sequence, last_status FROM delivery WHERE event_id = $1", lost.event_id)
    assert (row["tries"], row["sequence"], row["last_status"]) == (0, 0, None)


async def test_an_attempt_that_ends_while_its_agency_is_asked_does_not_hold_up_what_else_is_written_down(
    world: NotificationWorld,
) -> None:
    gate = world.sender.gates[ESSP_ADDRESS] = asyncio.Event()
    ended, other = ReferralStory(), ReferralStory()
    await world.tell(ended.event("sent"), other.event("sent"))
    await world.tell(ended.event("recalled"))

    gate.set()
    await world.settled(3)
    await world.tell(other.event("reminder"))
    await world.dispatcher.look()
    await world.settled(4)

    assert await world.states() == [
        ("sent", "suppressed"),
        ("sent", "delivered"),
        ("recalled", "delivered"),
        ("reminder", "delivered"),
    ]
    told = [(row["event_type"].split(".")[2], row["sequence"]) for row in await world.rows(SEQUENCES)]
    assert told == [("sent", 1), ("sent", 1), ("recalled", 1), ("reminder", 1)]


SEQUENCES = "SELECT event_type, sequence FROM delivery ORDER BY position"


async def test_a_result_that_cannot_be_stored_does_not_keep_the_others_from_being(world: NotificationWorld) -> None:
    world.sender.statuses[ESSP_ADDRESS] = 2**40  # no database can hold it
    strange, good = ReferralStory().event("sent"), ReferralStory().event("sent", partner_id=HOSPITAL)

    await world.tell(strange, good)
    await world.settled(1)
    await world.tell(ReferralStory().event("sent", partner_id=HOSPITAL))
    await world.settled(2)

    assert await world.states() == [("sent", "pending"), ("sent", "delivered"), ("sent", "delivered")]


async def test_a_copy_that_was_not_seen_does_not_take_what_it_has_in_hand_a_second_time(
    world: NotificationWorld,
) -> None:
    gate = world.sender.gates[ESSP_ADDRESS] = asyncio.Event()
    await world.tell(*(ReferralStory().event("sent") for _ in range(6)))  # some are under way, some wait
    await world.rows("UPDATE service_copy SET seen_at = '2020-01-01'")

    await world.dispatcher.look()
    gate.set()
    await world.settled(6)

    assert len({each.body["id"] for each in world.sender.sent}) == len(world.sender.sent) == 6
    assert {state for _, state in await world.states()} == {"delivered"}


async def test_a_lease_that_its_copy_was_never_told_of_is_given_back_within_seconds(
    world: NotificationWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A claim was committed, and the connection broke before its answer came."""
    monkeypatch.setattr("ihala_notification.handlers.dispatch.LOST_LOOK_SECONDS", 0.0)
    gate = world.sender.gates[ESSP_ADDRESS] = asyncio.Event()
    await world.tell(*(ReferralStory().event("sent") for _ in range(6)))
    world.dispatcher.forget(row["delivery_id"] for row in await world.rows("SELECT delivery_id FROM delivery"))

    await world.rows("UPDATE delivery SET lease_until = lease_until - interval '11 s'")
    await world.dispatcher.look()
    gate.set()
    await world.settled(6)

    assert {state for _, state in await world.states()} == {"delivered"}
    assert len(world.sender.sent) == 6  # the four that were under way were known


async def test_what_is_under_way_is_finished_and_the_rest_given_back_at_the_end(world: NotificationWorld) -> None:
    gate = world.sender.gates[ESSP_ADDRESS] = asyncio.Event()
    await world.tell(*(ReferralStory().event("sent") for _ in range(6)))

    draining = asyncio.create_task(world.dispatcher.drain())
    await asyncio.sleep(0)
    gate.set()
    await draining
    await world.dispatcher.finish()

    states = [state for _, state in await world.states()]
    assert sorted(states) == ["delivered"] * 4 + ["pending"] * 2
    assert await world.rows("SELECT 1 FROM delivery WHERE lease_owner IS NOT NULL") == []


async def test_who_has_not_answered_at_the_end_is_told_again_under_the_same_id(new_database: NewDatabase) -> None:
    async with notification_world(new_database, copies=2) as (stopping, other):
        await stopping.know(a_partner(ESSP))
        await stopping.listen(ESSP)
        gate = stopping.sender.gates[ESSP_ADDRESS] = asyncio.Event()
        before = asyncio.all_tasks()
        await stopping.tell(ReferralStory().event("sent"))
        await wait_until(lambda: stopping.sender.sent)

        await stopping.dispatcher.finish()
        assert asyncio.all_tasks() <= before
        await stopping.stop()
        gate.set()
        await other.rows("UPDATE service_copy SET seen_at = clock_timestamp() - interval '8 s'")
        await other.dispatcher.be_seen()
        await other.dispatcher.look()
        await other.settled(1)

        first, second = stopping.sender.sent
        assert (first.headers["webhook-id"], first.raw) == (second.headers["webhook-id"], second.raw)
        assert [state for _, state in await other.states()] == ["delivered"]


async def test_a_replay_repeats_id_and_bytes_but_never_asks_for_an_ended_attempt(world: NotificationWorld) -> None:
    kept, ended = ReferralStory(), ReferralStory()
    await world.tell(kept.event("sent"), ended.event("sent"))
    await world.settled(2)
    await world.tell(ended.event("declined"))

    async with world.database.transaction() as work:
        count = await world.log.replay(work, Replay(None, ESSP, None, None, ["delivered"]))
    await world.dispatcher.look()
    await world.settled(3)

    assert count == 1
    again = world.sender.sent[2]
    (first,) = [each for each in world.sender.sent[:2] if each.body["id"] == again.body["id"]]
    assert again.raw == first.raw
    assert UUID(again.body["data"]["referral_id"]) == kept.referral_id


async def test_every_message_is_counted_where_it_is(world: NotificationWorld) -> None:
    world.sender.statuses[ESSP_ADDRESS] = 500
    ended = ReferralStory()
    await world.tell(*(ReferralStory().event("sent") for _ in range(2)), ended.event("sent"))
    await world.tell(ReferralStory().event("sent", partner_id=HOSPITAL), ended.event("declined"))
    await world.settled(4)

    async with world.database.connection() as connection:
        now = await connection.fetchval("SELECT clock_timestamp()")
        counted = await MESSAGES.by_place(connection, Span(now - timedelta(minutes=5), now))
        await MESSAGES.count(connection)

    assert REGISTRY.get_sample_value("ihala_accounted", {"what": "messages", "place": "pending"}) == 2
    assert counted == {"pending": 2, "delivered": 1, "exhausted": 0, "suppressed": 1}


async def test_no_secret_stands_readable_in_the_database(world: NotificationWorld) -> None:
    (endpoint,) = [each for each in await world.endpoints.all_endpoints() if each.partner_id == ESSP]
    (key,) = endpoint.keys

    stored = await world.rows("SELECT wrapped FROM endpoint_secret")

    assert all(key.material not in row["wrapped"] for row in stored)


async def test_what_waits_for_an_agency_that_is_stopped_is_suppressed_in_every_copy(new_database: NewDatabase) -> None:
    async with notification_world(new_database, copies=2, concurrency=1) as (world, other):
        await world.know(a_partner(ESSP))
        await world.listen(ESSP)
        await other.dispatcher.look()
        world.sender.statuses[ESSP_ADDRESS] = 503
        await world.tell(ReferralStory().event("sent"))
        await world.settled(1)

        await world.know(a_partner(ESSP, stopped={"reason_code": "KEY_LEAKED", "since": "2026-11-16T10:15:00Z"}))
        await world.tell(ReferralStory().event("sent"))
        await world.due_now()
        await other.due_now()

        assert await world.states() == [("sent", "suppressed"), ("sent", "suppressed")]
        assert len(world.sender.sent) == 1  # the try before the stop
        assert [each["reason"] for each in await world.published("suppressed")] == ["partner-stopped"] * 2
        async with world.database.transaction() as work:
            everything = Replay(None, ESSP, None, None, ["exhausted", "delivered"])
            assert await world.log.replay(work, everything) == 0


async def test_a_resumed_agency_is_told_again(world: NotificationWorld) -> None:
    await world.know(a_partner(ESSP, stopped={"reason_code": "OTHER", "since": "2026-11-16T10:15:00Z"}))
    await world.dispatcher.look()

    await world.know(a_partner(ESSP))
    await world.dispatcher.look()
    await world.tell(ReferralStory().event("sent"))
    await world.settled(1)

    assert await world.states() == [("sent", "delivered")]
