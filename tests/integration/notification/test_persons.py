"""What a person is told is really told, once: by a gateway over HTTP or as a task of their desk, on a real database."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from ipaddress import ip_network
from pathlib import Path
from typing import Any
from uuid import UUID

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from ihala_events.access import Role
from ihala_events.intake import SubjectErased
from ihala_events.vocabulary import Channel
from ihala_notification.adapters.erasures import Erasures
from ihala_notification.adapters.gateway import HttpGateway
from ihala_notification.adapters.person_messages import PostgresPersonMessages
from ihala_notification.adapters.retention import Retention
from ihala_notification.adapters.safe_contacts import IntakeContacts
from ihala_notification.adapters.shipped_wording import load_messages
from ihala_notification.adapters.webhook_client import WebhookClient
from ihala_notification.bootstrap import MIGRATIONS
from ihala_notification.domain.retry_schedule import RetrySchedule
from ihala_notification.domain.webhook_address import AddressPolicy
from ihala_notification.entrypoints.http_tasks import tasks_router
from ihala_notification.handlers.tell_person import TellPerson
from ihala_notification.handlers.tell_persons import TellPersons
from ihala_notification.settings import NotificationSettings
from ihala_runtime.clock import ManualClock
from ihala_runtime.outbox import NewEvent
from ihala_runtime.service import Parts
from support.notification import NotificationWorld, ReferralStory, a_partner, notification_world
from support.servers import NewDatabase
from support.serving import Client, a_key, served

MONDAY = datetime(2026, 11, 16, 10, 15, tzinfo=UTC)
PHONE = "+212600000042"
SMS = {"channel": "SMS", "phone": PHONE, "hours": None, "language": "fr", "voicemail_ok": False, "to_guardian": False}
SERVICE_KEY, GATEWAY_KEY = "ihala_service", "gateway-key"
FRENCH = "Ihala : votre demande AG-7K3F-9QXY est transmise. Passez au bureau ou appelez-nous pour la suite."


@dataclass
class Outside:
    """Intake's answer and the gateway, as HTTP servers; each refuses a wrong key."""

    contact: dict[str, Any] | None = field(default_factory=lambda: dict(SMS))
    gateway_status: int = 200
    asked: list[str] = field(default_factory=list)
    received: list[dict[str, Any]] = field(default_factory=list)

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/v1/cases/{case_ref}/contact", self._contact)
        app.router.add_post("/gateway/sms", self._sms)
        return app

    async def _contact(self, request: web.Request) -> web.Response:
        if request.headers["Authorization"] != f"Bearer {SERVICE_KEY}":
            return web.Response(status=401)
        self.asked.append(request.match_info["case_ref"])
        return web.Response(status=404) if self.contact is None else web.json_response(self.contact)

    async def _sms(self, request: web.Request) -> web.Response:
        if request.headers["Authorization"] != f"Bearer {GATEWAY_KEY}":
            return web.Response(status=401)
        if self.gateway_status == 200:
            self.received.append(await request.json())
        return web.Response(status=self.gateway_status)


@dataclass
class Persons:
    """The service's parts and who is outside."""

    world: NotificationWorld
    outside: Outside
    tell: TellPersons
    clock: ManualClock

    async def look(self) -> None:
        """As if the time until the next try had passed."""
        await self.world.rows("UPDATE person_message SET next_attempt_at = clock_timestamp() WHERE NOT is_task")
        await self.tell.once()

    async def rows(self) -> list[tuple[str, str, str, str | None]]:
        found = await self.world.rows("SELECT message, channel, state, reason FROM person_message ORDER BY position")
        return [tuple(row) for row in found]


@pytest.fixture
async def persons(new_database: NewDatabase, tmp_path: Path) -> AsyncIterator[Persons]:
    outside, clock = Outside(), ManualClock(MONDAY)
    key_file, gateway_key_file = tmp_path / "service-key", tmp_path / "gateway-key"
    key_file.write_text(f"{SERVICE_KEY}\n")
    gateway_key_file.write_text(f"{GATEWAY_KEY}\n")
    policy = AddressPolicy((ip_network("127.0.0.0/8"),))
    async with (
        notification_world(new_database) as (world,),
        TestServer(outside.app()) as server,
        WebhookClient(policy) as client,
    ):
        await world.know(a_partner())
        url = str(server.make_url("")).rstrip("/")
        contacts = IntakeContacts(url, key_file)
        gateways = {Channel.SMS: HttpGateway(client, f"{url}/gateway/sms", gateway_key_file)}
        tell = TellPerson(contacts, gateways, load_messages(), RetrySchedule((0.0, 0.0, 0.0)), clock)
        yield Persons(world, outside, TellPersons(PostgresPersonMessages(world.database), tell), clock)
        await contacts.close()


def telling(story: ReferralStory, name: str = "sent", message: str = "referred", **changes: Any) -> NewEvent:
    channel = changes.pop("channel", "SMS")
    notice = {"message": message, "channel": channel, "desk_id": "baom-agadir"}
    return story.event(name, notify_person=notice, **changes)


async def test_a_person_is_told_by_sms_once_however_often_the_event_comes(persons: Persons) -> None:
    story = ReferralStory()
    event = telling(story)

    await persons.world.tell(event)
    await persons.look()
    await persons.world.tell(event)
    await persons.world.tell(event, telling(story, attempt_no=2))
    await persons.look()

    (message,) = persons.outside.received
    assert (message["to"], message["text"]) == (PHONE, FRENCH)
    assert UUID(message["reference"]).version == 5
    assert await persons.rows() == [("referred", "SMS", "sent", None)]


async def test_a_gateway_that_is_down_is_asked_again_with_the_same_reference(persons: Persons) -> None:
    persons.outside.gateway_status = 503
    await persons.world.tell(telling(ReferralStory()))

    await persons.look()
    waiting = await persons.rows()
    persons.outside.gateway_status = 200
    await persons.look()

    assert waiting == [("referred", "SMS", "pending", None)]
    assert len(persons.outside.received) == 1
    assert await persons.rows() == [("referred", "SMS", "sent", None)]


async def test_a_gateway_that_stays_down_leaves_it_to_the_desk(persons: Persons) -> None:
    persons.outside.gateway_status = 503
    await persons.world.tell(telling(ReferralStory()))

    for _ in range(3):
        await persons.look()

    assert await persons.rows() == [("referred", "DESK", "pending", "given-up")]


async def test_a_case_that_is_erased_or_restricted_by_now_is_told_nothing(persons: Persons) -> None:
    persons.outside.contact = None
    await persons.world.tell(telling(ReferralStory()))

    await persons.look()

    assert persons.outside.received == []
    assert await persons.rows() == [("referred", "SMS", "suppressed", "not-to-be-told")]


async def test_an_event_without_a_notice_asks_for_nobodys_number(persons: Persons) -> None:
    await persons.world.tell(ReferralStory().event("sent"))

    await persons.look()

    assert (persons.outside.asked, await persons.rows()) == ([], [])


async def test_an_erasure_ends_what_waits_for_the_desk(persons: Persons) -> None:
    persons.outside.contact = SMS | {"channel": "CALL"}
    await persons.world.tell(telling(ReferralStory(), channel="CALL"))
    await persons.look()

    erased = SubjectErased(case_id=UUID(int=2), case_ref="AG-7K3F-9QXY", erased_at=MONDAY)
    await Erasures(persons.world.database).apply_again([erased])

    assert await persons.rows() == [("referred", "CALL", "suppressed", "erased")]


async def test_a_message_waits_for_the_persons_hours(persons: Persons) -> None:
    persons.outside.contact = SMS | {"hours": "18-20"}
    await persons.world.tell(telling(ReferralStory()))

    await persons.look()
    early = list(persons.outside.received)
    (row,) = await persons.world.rows(
        "SELECT round(extract(epoch FROM next_attempt_at - clock_timestamp()) / 60) AS minutes FROM person_message"
    )
    persons.clock.set(datetime(2026, 11, 16, 18, tzinfo=UTC))
    await persons.look()

    assert (early, row["minutes"]) == ([], 465)  # from 10:15 to 18:00
    assert len(persons.outside.received) == 1


async def test_what_was_to_be_told_of_a_referral_that_is_over_is_not(persons: Persons) -> None:
    story = ReferralStory()
    await persons.world.tell(telling(story))

    await persons.world.tell(telling(story, "withdrawn", "withdrawn", state="withdrawn"))
    await persons.look()

    assert await persons.rows() == [
        ("referred", "SMS", "suppressed", "overtaken"),
        ("withdrawn", "SMS", "sent", None),
    ]
    assert "retirée" in persons.outside.received[0]["text"]


async def test_each_offered_place_is_news(persons: Persons) -> None:
    story = ReferralStory()

    listed = telling(story, "waitlisted", "news")

    await persons.world.tell(listed, telling(story, "place-offered", "news"))
    await persons.world.rows("DELETE FROM inbox")  # as if it had been read too long ago to be known
    await persons.world.tell(listed)
    await persons.look()

    assert [row[0] for row in await persons.rows()] == ["news", "news"]
    assert len({each["reference"] for each in persons.outside.received}) == 2


async def test_an_agency_is_told_the_same_bytes_with_and_without_a_notice(persons: Persons) -> None:
    await persons.world.listen()
    story = ReferralStory()

    await persons.world.tell(telling(story))
    await persons.world.settled(1)

    assert "notify" not in persons.world.sender.sent[0].raw.decode()
    assert "baom" not in persons.world.sender.sent[0].raw.decode()


async def test_no_number_and_no_text_is_kept(persons: Persons) -> None:
    await persons.world.tell(telling(ReferralStory()))
    await persons.look()

    (row,) = await persons.world.rows("SELECT m::text AS row FROM person_message m")

    assert PHONE.removeprefix("+212") not in row["row"]
    assert "Ihala" not in row["row"]


async def test_after_two_years_nothing_is_kept(persons: Persons) -> None:
    await persons.world.tell(telling(ReferralStory()))
    span = datetime(2029, 1, 1, tzinfo=UTC)

    await Retention(persons.world.database, ManualClock(span), span - datetime(2027, 1, 1, tzinfo=UTC)).apply()

    assert await persons.rows() == []


@dataclass
class Desks:
    mine: Client
    other: Client
    agency: Client


@pytest.fixture
async def desks(persons: Persons, kafka_bootstrap: str) -> AsyncIterator[Desks]:
    database = persons.world.database
    settings = NotificationSettings(postgres_dsn="unused", kafka_bootstrap=kafka_bootstrap, kek_file=Path("unused"))
    messages = PostgresPersonMessages(database)
    parts = Parts("notification", "Tasks", settings, database, MIGRATIONS, routers=[tasks_router(database, messages)])
    keys = [
        await a_key(database, Role.DESK, None, "baom-agadir"),
        await a_key(database, Role.DESK, None, "baom-inezgane"),
        await a_key(database, Role.AGENCY, "essp-agadir"),
    ]
    async with served(parts) as url, aiohttp.ClientSession() as session:
        yield Desks(*(Client(session, url, key) for key in keys))


async def a_task(persons: Persons, desks: Desks, **contact: Any) -> dict[str, Any]:
    persons.outside.contact = SMS | {"channel": "CALL", **contact}
    await persons.world.tell(telling(ReferralStory(), channel="CALL"))
    await persons.look()
    _, tasks, _ = await desks.mine.call("GET", "/v1/tasks")
    (task,) = tasks["items"]
    return dict(task)


async def answer(desk: Client, task: dict[str, Any], result: str, key: str) -> tuple[int, dict[str, Any]]:
    status, body, _ = await desk.call(
        "POST", f"/v1/tasks/{task['task_id']}/done", {"result": result}, Idempotency_Key=key
    )
    return status, body


async def test_a_call_is_a_task_of_the_persons_desk_without_a_number(persons: Persons, desks: Desks) -> None:
    task = await a_task(persons, desks, hours="9h-12h30", voicemail_ok=True, to_guardian=True, language="ar")

    told = ("case_ref", "message", "channel", "language", "hours", "voicemail_ok", "to_guardian", "not_reached")
    assert [task[name] for name in told] == ["AG-7K3F-9QXY", "referred", "CALL", "ar", "09:00-12:30", True, True, 0]
    assert PHONE not in str(task)
    assert (await desks.other.call("GET", "/v1/tasks"))[1]["items"] == []
    assert (await desks.other.call("GET", "/v1/tasks?desk_id=baom-agadir"))[0] == 404
    assert (await desks.agency.call("GET", "/v1/tasks"))[0] == 403
    assert (await answer(desks.other, task, "reached", "k"))[0] == 404
    assert persons.outside.received == []


async def test_a_person_who_was_not_reached_is_called_again(persons: Persons, desks: Desks) -> None:
    task = await a_task(persons, desks)

    first = await answer(desks.mine, task, "not_reached", "one")
    repeated = await answer(desks.mine, task, "not_reached", "one")
    reused = await answer(desks.mine, task, "reached", "one")
    second = await answer(desks.mine, task, "not_reached", "two")
    third = await answer(desks.mine, task, "reached", "three")
    late = await answer(desks.mine, task, "reached", "four")

    assert [(status, body.get("state"), body.get("not_reached")) for status, body in (first, repeated, second)] == [
        (200, "pending", 1),
        (200, "pending", 1),
        (200, "pending", 2),
    ]
    assert (reused[0], reused[1]["type"]) == (409, "urn:ihala:problem:idempotency-key-reused")
    assert (third[0], third[1]["state"]) == (200, "done")
    assert (late[0], late[1]["type"]) == (409, "urn:ihala:problem:task-ended")
    assert (await desks.mine.call("GET", "/v1/tasks"))[1]["items"] == []
    assert len((await desks.mine.call("GET", "/v1/tasks?state=done"))[1]["items"]) == 1


async def test_a_wrong_number_ends_the_task_as_failed(persons: Persons, desks: Desks) -> None:
    task = await a_task(persons, desks)

    status, ended = await answer(desks.mine, task, "wrong_number", "k")

    assert (status, ended["state"], ended["reason"]) == (200, "failed", "wrong-number")


async def test_two_copies_tell_a_person_once(persons: Persons) -> None:
    await persons.world.tell(*(telling(ReferralStory()) for _ in range(6)))

    await asyncio.gather(persons.tell.once(), persons.tell.once())

    assert len({each["reference"] for each in persons.outside.received}) == len(persons.outside.received) == 6
