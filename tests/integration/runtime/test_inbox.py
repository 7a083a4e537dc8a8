"""The inbox forgets what Kafka cannot bring again."""

from ihala_runtime.inbox import CLEAN_ROWS, clean
from support.runtime import migrated_database
from support.servers import NewDatabase


async def test_rows_of_thirty_days_go_however_many_and_younger_ones_stay(new_database: NewDatabase) -> None:
    async with migrated_database(new_database) as database, database.connection() as connection:
        await connection.execute(
            "INSERT INTO inbox SELECT 'c', 's', number::text, now() - interval '31 days'"
            " FROM generate_series(1, $1::integer) AS number",
            2 * CLEAN_ROWS + 1,
        )
        await connection.execute("INSERT INTO inbox VALUES ('c', 's', 'young', now() - interval '29 days')")

        await clean(connection)

        rows = await connection.fetch("SELECT event_id FROM inbox")
    assert [row["event_id"] for row in rows] == ["young"]
