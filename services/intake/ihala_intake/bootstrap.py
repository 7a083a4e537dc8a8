"""The only file that wires the intake service together."""

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from ihala_runtime.background import Task, every
from ihala_runtime.clock import Clock
from ihala_runtime.erasure_ledger import ErasureLedger
from ihala_runtime.postgres import Database
from ihala_runtime.service import Parts, until_reachable

from ihala_intake.adapters import cases, duplicates, reconciliation
from ihala_intake.adapters.audit_check import AuditCheck
from ihala_intake.adapters.case_in_hand import PostgresAddressing, PostgresKnownCases
from ihala_intake.adapters.erasure import Erasures
from ihala_intake.adapters.group_commit import GroupCommit
from ihala_intake.adapters.intake_store import IntakeStore
from ihala_intake.adapters.keys import CaseKeys
from ihala_intake.adapters.reachables import PostgresReachables
from ihala_intake.adapters.retention import Retention
from ihala_intake.adapters.sealing import Sealer
from ihala_intake.adapters.subject_files import SubjectFiles
from ihala_intake.adapters.vault import PostgresAudit, SealedVault
from ihala_intake.domain.acceptance import Policy
from ihala_intake.entrypoints import audit_door, contact, http, protection
from ihala_intake.entrypoints.directory import directory_consumer
from ihala_intake.entrypoints.doors import Doors
from ihala_intake.entrypoints.lifecycle import lifecycle_consumer
from ihala_intake.entrypoints.parties import parties_consumer
from ihala_intake.handlers.correct_case import CorrectCase
from ihala_intake.handlers.disclose import Disclose
from ihala_intake.handlers.erase_subject import EraseSubject
from ihala_intake.handlers.open_file import OpenFile
from ihala_intake.handlers.read_contact import ReadContact
from ihala_intake.handlers.submit_intake import Arrival, Outcome, PrepareIntake
from ihala_intake.settings import IntakeSettings

HERE = Path(__file__).parent
KEEP_ANSWERS_DAYS = 7
ANCHOR_EVERY_SECONDS = 10


def bootstrap(settings: IntakeSettings) -> Parts:
    database = Database(settings.postgres_dsn, "ihala-intake")
    keys_database = Database(settings.keys_dsn, "ihala-intake-keys", max_connections=4)
    doors = _doors(settings, database, keys_database)
    ledger = ErasureLedger(
        settings.kafka(), "ihala-intake-erasures", Erasures(database, CaseKeys(keys_database)).apply_again
    )
    retention = Retention(
        database, doors.erase_subject, doors.clock, settings.pseudonymise_after, settings.delete_after
    )
    return Parts(
        name="intake",
        title="Ihala intake",
        settings=settings,
        database=database,
        migrations=HERE / "migrations",
        straight=[http.SUBMIT],
        routers=[http.router, protection.router, contact.router, audit_door.router],
        consumers=[lifecycle_consumer(), directory_consumer(), parties_consumer(doors)],
        tasks=[ledger.follow, every(doors.audit_check.anchor, ANCHOR_EVERY_SECONDS)],
        prepare=[_open_keys(keys_database)],
        hourly=[_forget_answers(database), _forget_old_keys(database, doors.clock), retention.apply],
        finish=[keys_database.close],
        expectations=[reconciliation.ROUTED, reconciliation.WITHDRAWN],
        accounts=reconciliation.needs,
        census=reconciliation.NEEDS,
        state={"doors": doors},
    )


def _doors(settings: IntakeSettings, database: Database, keys_database: Database) -> Doors:
    sealer, keys = Sealer.from_file(settings.kek_file), CaseKeys(keys_database)
    policy = Policy(
        case_ref_prefix=settings.case_ref_prefix,
        most_ahead=settings.received_at_most_ahead,
        most_ago=settings.received_at_most_ago,
        any_time=settings.clock_file is not None,
        intake_url=settings.intake_url,
        referral_url=settings.referral_url,
    )
    prepare = PrepareIntake(policy, PostgresKnownCases(database), sealer)
    store = IntakeStore(database, keys, sealer, policy)
    open_file = OpenFile(PostgresAudit(database), SealedVault(keys, sealer))
    return Doors(
        clock=settings.clock(),
        database=database,
        prepare=prepare,
        store=store,
        group_commit=GroupCommit(_taking(prepare, store)),
        open_file=open_file,
        disclose=Disclose(PostgresAddressing(database), open_file),
        read_contact=ReadContact(PostgresReachables(database), open_file),
        audit_check=AuditCheck(database, keys_database),
        subject_files=SubjectFiles(database, open_file, settings.pseudonymise_after, settings.delete_after),
        correct_case=CorrectCase(SealedVault(keys, sealer), sealer.person_key),
        erase_subject=EraseSubject(keys),
    )


def _taking(
    prepare: PrepareIntake, store: IntakeStore
) -> Callable[[Sequence[Arrival]], Awaitable[Sequence[Outcome | Exception]]]:
    async def take(arrivals: Sequence[Arrival]) -> Sequence[Outcome | Exception]:
        return await store.store_group([prepare.draw_up(each) for each in arrivals])

    return take


def _open_keys(keys_database: Database) -> Task:
    async def open_keys() -> None:
        await until_reachable(keys_database, [HERE / "key_migrations"])

    return open_keys


def _forget_answers(database: Database) -> Task:
    async def forget() -> None:
        async with database.connection() as connection:
            await cases.forget_answers(connection, KEEP_ANSWERS_DAYS)

    return forget


def _forget_old_keys(database: Database, clock: Clock) -> Task:
    async def forget() -> None:
        async with database.connection() as connection:
            await duplicates.forget_old_keys(connection, clock.now())

    return forget
