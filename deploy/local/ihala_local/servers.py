"""The two servers under the supervisor: ours, or somebody else's when the environment names them."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from ihala_runtime.kafka_address import KafkaAddress

from ihala_local import jars, kafka, postgres
from ihala_local.console import Console
from ihala_local.failures import LocalFailure
from ihala_local.ports import LOOPBACK
from ihala_local.stack import Options
from ihala_local.state import Secrets, State
from ihala_local.supervisor import Supervisor

START_SECONDS = 90
OTHERS_SECONDS = 10  # somebody else's server is there already, or it is not


class ServerUnavailable(LocalFailure):
    """A server named by the environment does not answer."""


@dataclass(frozen=True, slots=True)
class Servers:
    """Prepares and starts them; both methods may run at the same time."""

    state: State
    options: Options
    supervisor: Supervisor
    console: Console

    def kafka_address(self, ports: Mapping[str, int]) -> KafkaAddress:
        """Whether it answers yet or not."""
        return self.options.kafka or KafkaAddress(f"{LOOPBACK}:{ports['kafka']}")

    async def kafka(self, ports: Mapping[str, int]) -> None:
        """Returns when the broker answers."""
        if self.options.kafka:
            await self._others_kafka(self.options.kafka)
        else:
            await self._our_kafka(ports)

    async def _our_kafka(self, ports: Mapping[str, int]) -> None:
        lock = jars.read_lock()
        await self._fetch(lock)
        node = kafka.KafkaNode(
            folder=self.state.kafka,
            port=ports["kafka"],
            controller_port=ports["kafka-controller"],
            lock=lock,
            jars=jars.folder_of(lock),
        )
        with self.console.step(f"Kafka {lock.kafka_version}"):
            await asyncio.to_thread(kafka.prepare, node)
            self.supervisor.start(kafka.program(node))
            await self.supervisor.until_ready(
                "kafka", lambda: kafka.answers(KafkaAddress(node.bootstrap)), START_SECONDS
            )

    async def _fetch(self, lock: jars.JarLock) -> None:
        missing = jars.missing(lock, jars.folder_of(lock))
        if not missing:
            return
        size_bytes = sum(jar.size_bytes for jar in missing)
        stopping = jars.Stopping()
        with (
            self.console.step(f"{len(missing)} jars of Kafka from Maven Central"),
            self.console.download("jars of Kafka", size_bytes) as arrived,
        ):
            try:
                await asyncio.to_thread(jars.fetch_missing, lock, jars.folder_of(lock), stopping.or_tell(arrived))
            finally:
                stopping.now()

    async def _others_kafka(self, address: KafkaAddress) -> None:
        for _ in range(OTHERS_SECONDS):
            if await kafka.answers(address):
                return
            await asyncio.sleep(1)
        raise ServerUnavailable(f"no Kafka answers at {address.bootstrap} (IHALA_KAFKA_BOOTSTRAP)")

    async def postgres(self, ports: Mapping[str, int], kept: Secrets) -> dict[str, str]:
        """The DSN of each service's database, all of them made."""
        superuser_dsn = self.options.postgres_dsn or await self._our_postgres(ports["postgres"], kept)
        with self.console.step("databases"):
            try:
                await postgres.create_databases(superuser_dsn, kept.postgres_roles)
            except OSError as error:
                raise ServerUnavailable(f"no PostgreSQL answers (IHALA_POSTGRES_DSN): {error}") from error
        return {role: postgres.dsn_of(superuser_dsn, role, password) for role, password in kept.postgres_roles.items()}

    async def _our_postgres(self, port: int, kept: Secrets) -> str:
        server = postgres.PostgresServer(self.state.postgres, port, kept.postgres_superuser)
        with self.console.step("PostgreSQL 18"):
            placement = await asyncio.to_thread(postgres.prepare, server)
            self.supervisor.start(postgres.program(server, placement))
            await self.supervisor.until_ready("postgres", lambda: postgres.answers(server.dsn()), START_SECONDS)
        await postgres.close_default_databases(server.dsn())
        return server.dsn()
