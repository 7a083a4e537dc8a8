"""The database of data keys: apart from the cases, so that a copy of one is worthless without the other."""

from collections.abc import Sequence
from uuid import UUID

from ihala_runtime.postgres import Database


class CaseKeys:
    """Wrapped keys by case. They are written before the case is, so a stored case always has its key."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def keep(self, keys: Sequence[tuple[UUID, bytes]]) -> None:
        if not keys:
            return
        async with self._database.connection() as connection:
            await connection.execute(
                "INSERT INTO case_key (case_id, wrapped) SELECT * FROM unnest($1::uuid[], $2::bytea[])",
                [case_id for case_id, _ in keys],
                [wrapped for _, wrapped in keys],
            )

    async def get(self, case_id: UUID) -> bytes | None:
        """None where the person was erased."""
        async with self._database.connection() as connection:
            wrapped: bytes | None = await connection.fetchval(
                "SELECT wrapped FROM case_key WHERE case_id = $1", case_id
            )
        return wrapped

    async def destroy(self, case_ids: Sequence[UUID]) -> None:
        """What was sealed under these keys can be read by nobody any more."""
        async with self._database.connection() as connection:
            await connection.execute("DELETE FROM case_key WHERE case_id = ANY($1)", case_ids)
