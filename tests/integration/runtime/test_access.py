"""The keys that a process knows follow the table, whatever the database's clock does."""

from datetime import UTC, datetime, timedelta

from ihala_events.access import CredentialChanged, Role
from ihala_runtime.access import Credentials, key_hash, new_key, store_credential
from ihala_runtime.postgres import Database
from support.runtime import migrated_database
from support.servers import NewDatabase


def a_credential() -> tuple[str, CredentialChanged]:
    credential_id, key = new_key()
    made = CredentialChanged(
        credential_id=credential_id, sha256=key_hash(key), role=Role.DESK, created_at=datetime.now(UTC)
    )
    return key, made


async def store(database: Database, record: CredentialChanged) -> None:
    async with database.connection() as connection:
        await store_credential(connection, record)


async def the_clock_is_set_back_an_hour(database: Database) -> None:
    """What was written until now is of the future."""
    async with database.connection() as connection:
        await connection.execute("UPDATE credential SET changed_at = changed_at + interval '1 hour'")


async def test_a_revocation_is_seen_though_the_clock_was_set_back(new_database: NewDatabase) -> None:
    async with migrated_database(new_database) as database:
        (revoked_key, revoked), (other_key, other) = a_credential(), a_credential()
        await store(database, revoked)
        await store(database, other)
        await the_clock_is_set_back_an_hour(database)
        credentials = Credentials(database)
        await credentials.refresh()
        assert credentials.principal(revoked_key) is not None

        await store(database, revoked.model_copy(update={"revoked_at": datetime.now(UTC)}))
        await credentials.refresh()

        assert credentials.principal(revoked_key) is None
        assert credentials.principal(other_key) is not None


async def test_a_process_that_knew_the_future_looks_at_everything_once_the_clock_is_back(
    new_database: NewDatabase,
) -> None:
    """It has seen what was written last before the clock was set back, and the database was away for a while."""
    async with migrated_database(new_database) as database:
        (revoked_key, revoked), (_, other) = a_credential(), a_credential()
        await store(database, revoked)
        await store(database, other)
        credentials = Credentials(database)
        await credentials.refresh()
        await store(database, revoked.model_copy(update={"revoked_at": datetime.now(UTC)}))
        async with database.connection() as connection:
            await connection.execute("UPDATE credential SET changed_at = changed_at - interval '1 hour'")

        credentials._seen_until += timedelta(hours=1)
        await credentials.refresh()

        assert credentials.principal(revoked_key) is None
