"""The only file that wires: settings in, parts of a running service out."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path

from ihala_events.vocabulary import Channel
from ihala_runtime.background import every
from ihala_runtime.clock_set_back import Waiting
from ihala_runtime.erasure_ledger import ErasureLedger
from ihala_runtime.postgres import Database
from ihala_runtime.service import Parts

from ihala_notification.adapters.claims import PostgresClaims
from ihala_notification.adapters.delivery_log import PostgresDeliveryLog
from ihala_notification.adapters.endpoints import PostgresEndpoints
from ihala_notification.adapters.erasures import Erasures
from ihala_notification.adapters.gateway import HttpGateway
from ihala_notification.adapters.person_messages import PostgresPersonMessages
from ihala_notification.adapters.reconciliation import MESSAGES, deliveries
from ihala_notification.adapters.results import PostgresResults
from ihala_notification.adapters.retention import Retention
from ihala_notification.adapters.safe_contacts import IntakeContacts
from ihala_notification.adapters.secret_box import SecretBox, key_from
from ihala_notification.adapters.shipped_wording import load_messages
from ihala_notification.adapters.webhook_client import WebhookClient, WebhookTimes
from ihala_notification.domain.message import Links
from ihala_notification.domain.retry_schedule import STANDARD_DELAYS_SECONDS, RetrySchedule
from ihala_notification.domain.webhook_address import AddressPolicy
from ihala_notification.entrypoints.http_deliveries import deliveries_router
from ihala_notification.entrypoints.http_endpoints import endpoints_router
from ihala_notification.entrypoints.http_tasks import tasks_router
from ihala_notification.entrypoints.http_wording import wording_router
from ihala_notification.entrypoints.topics import dispatch_consumer, partner_consumer
from ihala_notification.handlers.dispatch import Dispatcher
from ihala_notification.handlers.endpoints import RegisterEndpoint, RotateSecret, TryEndpoint
from ihala_notification.handlers.tell_agency import TellAgency
from ihala_notification.handlers.tell_person import Gateway, TellPerson
from ihala_notification.handlers.tell_persons import EVERY_SECONDS, TellPersons
from ihala_notification.settings import NotificationSettings

MIGRATIONS = Path(__file__).parent / "migrations"
PERSONS_ARE_TRIED_FOR = timedelta(days=1)
RECEIPTS_APART_SECONDS = 0.1  # who is told on a topic waits so long; the webhooks do not
WAITING = (
    Waiting("delivery", "next_attempt_at", "state = 'pending'"),
    Waiting("person_message", "next_attempt_at", "state = 'pending' AND NOT is_task"),
    Waiting("endpoint", "probe_at"),
)


def bootstrap(settings: NotificationSettings) -> Parts:
    """Raises WordingRefused for a text to persons that reveals something, AddressRefused for a gateway's address."""
    database = Database(settings.postgres_dsn, "ihala-notification")
    policy = AddressPolicy(settings.webhook_private_networks)
    schedule = RetrySchedule(settings.webhook_retry_seconds or STANDARD_DELAYS_SECONDS)
    overlap_seconds = settings.secret_overlap_hours * 3_600
    endpoints = PostgresEndpoints(database, SecretBox(key_from(settings.kek_file)))
    client = WebhookClient(policy, WebhookTimes(total_seconds=settings.webhook_timeout_seconds))
    dispatcher = Dispatcher(
        PostgresClaims(database),
        PostgresResults(database, endpoints, schedule),
        endpoints,
        client,
        concurrency=settings.webhook_concurrency,
        give_up_after_seconds=schedule.whole_seconds,
    )
    erasures = Erasures(database)
    ledger = ErasureLedger(settings.kafka(), "ihala-notification-erasures", erasures.apply_again)
    log = PostgresDeliveryLog(database)
    texts = load_messages()
    person_messages = PostgresPersonMessages(database)
    contacts = _contacts(settings)
    tell_person = TellPerson(
        contacts,
        _gateways(settings, policy, client),
        texts,
        schedule.within(PERSONS_ARE_TRIED_FOR.total_seconds()),
        settings.clock(),
    )
    tell_persons = TellPersons(person_messages, tell_person)
    tell_agency = TellAgency(Links(settings.intake_url, settings.referral_url))
    return Parts(
        name="notification",
        title="Ihala notification",
        settings=settings,
        database=database,
        migrations=MIGRATIONS,
        routers=[
            endpoints_router(
                database,
                endpoints,
                dispatcher,
                RegisterEndpoint(endpoints, policy, overlap_seconds),
                RotateSecret(endpoints, overlap_seconds),
                TryEndpoint(client),
            ),
            deliveries_router(database, log, dispatcher),
            wording_router(texts),
            tasks_router(database, person_messages),
        ],
        consumers=[dispatch_consumer(tell_agency, dispatcher), partner_consumer(dispatcher)],
        tasks=[
            dispatcher.show,
            dispatcher.poll,
            dispatcher.record,
            ledger.follow,
            every(tell_persons.once, EVERY_SECONDS),
        ],
        prepare=[_opened(client), dispatcher.be_seen, dispatcher.look],
        hourly=[erasures.blank_what_ended, Retention(database, settings.clock(), settings.delete_after).apply],
        accounts=deliveries,
        census=MESSAGES,
        waiting=WAITING,
        published_apart_seconds=RECEIPTS_APART_SECONDS,
        drain=[dispatcher.drain],
        finish=[dispatcher.finish, client.close, *([contacts.close] if contacts else [])],
    )


def _contacts(settings: NotificationSettings) -> IntakeContacts | None:
    if settings.service_key_file is None:
        return None
    return IntakeContacts(settings.contact_url or settings.intake_url, settings.service_key_file)


def _gateways(settings: NotificationSettings, policy: AddressPolicy, client: WebhookClient) -> dict[Channel, Gateway]:
    """An address that may not be reached stops the start."""
    for url, _ in settings.gateways.values():
        policy.check_url(url)
    return {channel: HttpGateway(client, url, key) for channel, (url, key) in settings.gateways.items()}


def _opened(client: WebhookClient) -> Callable[[], Awaitable[None]]:
    async def open_client() -> None:
        client.open()

    return open_client
