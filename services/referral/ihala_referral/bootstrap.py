"""The only file that wires the referral service together."""

from collections.abc import Sequence
from pathlib import Path

from ihala_runtime.background import Task
from ihala_runtime.erasure_ledger import ErasureLedger
from ihala_runtime.postgres import Database
from ihala_runtime.service import Parts

from ihala_referral.adapters import reconciliation
from ihala_referral.adapters.erasures import Erasures
from ihala_referral.adapters.first_start import admit_first_admin, remember_calendar, remember_rules
from ihala_referral.adapters.idempotency import forget_answers
from ihala_referral.adapters.indicator_rows import PostgresReports
from ihala_referral.adapters.party_topics import PartyTopics
from ihala_referral.adapters.retention import Retention
from ihala_referral.adapters.shipped_data import (
    ShippedRules,
    calendar_sha256,
    load_calendar,
    load_rules,
    load_sentences,
)
from ihala_referral.adapters.snapshots import Environment
from ihala_referral.entrypoints import (
    http_agreements,
    http_calendar,
    http_credentials,
    http_partners,
    http_programmes,
    http_referrals,
    http_reports,
    http_routing,
    http_rules,
    http_stops,
)
from ihala_referral.entrypoints.cases import case_consumer
from ihala_referral.entrypoints.clockwork import (
    LOOK_AGAIN_SECONDS,
    LOOK_AGAIN_UNDER_TEST_CLOCK_SECONDS,
    Clockwork,
)
from ihala_referral.entrypoints.doors import Doors
from ihala_referral.entrypoints.parties import party_consumer
from ihala_referral.entrypoints.receipts import receipt_consumer
from ihala_referral.handlers.publish_indicators import PublishIndicators
from ihala_referral.settings import ReferralSettings

HERE = Path(__file__).parent
DOORS = (
    http_referrals,
    http_routing,
    http_rules,
    http_partners,
    http_agreements,
    http_programmes,
    http_stops,
    http_calendar,
    http_reports,
    http_credentials,
)


def bootstrap(settings: ReferralSettings) -> Parts:
    """Raises CalendarError for stale zone data, RuleSetError and SentencesError for data that cannot
    be used."""
    database = Database(settings.postgres_dsn, "ihala-referral")
    shipped = load_rules()
    environment = Environment(settings.clock(), [each.rules for each in shipped], load_calendar())
    indicators = PublishIndicators(PostgresReports(database), settings.release_after)
    doors = Doors(database, environment, load_sentences(), indicators)
    topics = PartyTopics(database, settings.kafka(), doors.parties_changed)
    erasures = Erasures(database, environment)
    ledger = ErasureLedger(settings.kafka(), "ihala-referral-erasures", erasures.apply_again)
    retention = Retention(database, environment.clock, settings.delete_after)
    return Parts(
        name="referral",
        title="Ihala referral",
        settings=settings,
        database=database,
        migrations=HERE / "migrations",
        routers=[module.router for module in DOORS],
        consumers=[case_consumer(environment), party_consumer(environment), receipt_consumer()],
        tasks=[_clockwork(settings, database, environment).run, topics.run, ledger.follow],
        prepare=[
            _first_admin(settings, database),
            _keep_calendar(database),
            _keep_rules(database, environment, shipped),
        ],
        hourly=[_forget_answers(database), _publish_then_delete(doors, retention)],
        expectations=[reconciliation.TOLD, reconciliation.COPY_TOLD],
        accounts=reconciliation.referrals,
        census=reconciliation.ASKED,
        state={"doors": doors},
    )


def _clockwork(settings: ReferralSettings, database: Database, environment: Environment) -> Clockwork:
    seconds = LOOK_AGAIN_UNDER_TEST_CLOCK_SECONDS if settings.clock_file else LOOK_AGAIN_SECONDS
    return Clockwork(database, environment, seconds)


def _first_admin(settings: ReferralSettings, database: Database) -> Task:
    async def admit() -> None:
        await admit_first_admin(database, settings.first_admin_file, settings.clock())

    return admit


def _keep_calendar(database: Database) -> Task:
    async def keep() -> None:
        await remember_calendar(database, calendar_sha256())

    return keep


def _keep_rules(database: Database, environment: Environment, shipped: Sequence[ShippedRules]) -> Task:
    """An activated set that this release cannot read stops the start."""

    async def keep() -> None:
        await remember_rules(database, shipped)
        async with database.connection() as connection:
            await environment.snapshot(connection)

    return keep


def _forget_answers(database: Database) -> Task:
    async def forget() -> None:
        async with database.connection() as connection:
            await forget_answers(connection)

    return forget


def _publish_then_delete(doors: Doors, retention: Retention) -> Task:
    """In this order: what is not counted yet is not deleted."""

    async def publish_then_delete() -> None:
        async with doors.database.connection() as connection:
            calendar = (await doors.environment.snapshot(connection)).world.calendar
        await doors.publish_indicators.publish_due(doors.environment.clock.now(), calendar)
        await retention.apply()

    return publish_then_delete
