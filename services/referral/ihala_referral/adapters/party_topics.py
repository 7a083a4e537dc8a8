"""Each party's own topics, made when it needs them: integrators, and agencies with a Kafka channel.

What is missing is found by looking, so a broker that was down or lost a topic heals by itself.
"""

import asyncio

import asyncpg
from aiokafka.errors import KafkaError
from ihala_events.directory import PartnerChannel
from ihala_events.topics import Topic, party_in, party_out
from ihala_runtime.kafka_address import KafkaAddress
from ihala_runtime.logs import logger
from ihala_runtime.postgres import Database
from ihala_runtime.topics import make_topics

from ihala_referral.adapters.credential_rows import integrators

LOOK_AGAIN_SECONDS = 30.0
SETTLE_SECONDS = 0.3  # a directory is entered record by record: make many topics at once
TOPICS_AT_ONCE = 60

_log = logger(__name__)


class PartyTopics:
    """changed: set when a party may need topics."""

    def __init__(self, database: Database, kafka: KafkaAddress, changed: asyncio.Event) -> None:
        self._database = database
        self._kafka = kafka
        self._changed = changed
        self._known: set[str] = set()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self._changed.clear()
            try:
                await self.make_missing()
            except (KafkaError, OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                _log.warning("topics not made", action="topics", error_class=type(error).__name__)
            await self._rest()

    async def make_missing(self) -> None:
        async with self._database.connection() as connection:
            parties = sorted({*await integrators(connection), *await _agencies_on_kafka(connection)})
        wanted = [topic for party_id in parties for topic in (party_in(party_id), party_out(party_id))]
        await self._make([topic for topic in wanted if topic.name not in self._known])

    async def _make(self, topics: list[Topic]) -> None:
        for start in range(0, len(topics), TOPICS_AT_ONCE):
            batch = topics[start : start + TOPICS_AT_ONCE]
            await make_topics(self._kafka, batch)
            self._known |= {topic.name for topic in batch}

    async def _rest(self) -> None:
        try:
            await asyncio.wait_for(self._changed.wait(), LOOK_AGAIN_SECONDS)
            await asyncio.sleep(SETTLE_SECONDS)
        except TimeoutError:
            self._known.clear()


async def _agencies_on_kafka(connection: asyncpg.Connection) -> list[str]:
    rows = await connection.fetch(
        "SELECT partner_id FROM partner WHERE record->'channels' ? $1", str(PartnerChannel.KAFKA)
    )
    return [row["partner_id"] for row in rows]
