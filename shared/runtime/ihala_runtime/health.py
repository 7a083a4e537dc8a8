"""Readiness, honestly: the database answers, no task keeps failing, every consumer is in its group and moves.

A broker that goes away later does not make a service unready: it keeps accepting and publishes when Kafka is back.
"""

from collections.abc import Sequence
from typing import Protocol

from ihala_runtime.failures import is_infrastructure
from ihala_runtime.postgres import Database


class Readiness(Protocol):
    @property
    def name(self) -> str: ...

    @property
    def is_ready(self) -> bool: ...


class Health:
    def __init__(self, database: Database, consumers: Sequence[Readiness]) -> None:
        self._database = database
        self._consumers = consumers

    async def checks(self) -> dict[str, bool]:
        """Each part and whether it can do its work now."""
        consumers = {consumer.name: consumer.is_ready for consumer in self._consumers}
        return {"database": await self._database_answers(), **consumers}

    async def _database_answers(self) -> bool:
        try:
            async with self._database.connection() as connection:
                return bool(await connection.fetchval("SELECT true"))
        except Exception as error:
            if not is_infrastructure(error):
                raise
            return False
