"""Kafka and PostgreSQL in containers, through testcontainers, with the images of docker-compose.yml.

Rule: asking whether the engine can run an image takes seconds, whatever state the engine is in; a broken or
missing engine is an answer, not an error.
"""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import docker
from docker.errors import DockerException, ImageNotFound
from testcontainers.community.postgres import PostgresContainer
from testcontainers.core.config import testcontainers_config
from testcontainers.core.container import DockerContainer
from testcontainers.core.wait_strategies import LogMessageWaitStrategy

KAFKA_IMAGE = "apache/kafka:4.1.1"
POSTGRES_IMAGE = "postgres:18"
ENGINE_SECONDS = 3
PULL_SECONDS = 120

KAFKA_SETTINGS = {
    "KAFKA_NODE_ID": "1",
    "KAFKA_PROCESS_ROLES": "broker,controller",
    "KAFKA_CONTROLLER_QUORUM_VOTERS": "1@localhost:9093",
    "KAFKA_LISTENERS": "BROKER://:9092,CONTROLLER://:9093",
    "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP": "BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "KAFKA_INTER_BROKER_LISTENER_NAME": "BROKER",
    "KAFKA_CONTROLLER_LISTENER_NAMES": "CONTROLLER",
    "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR": "1",
    "KAFKA_OFFSETS_TOPIC_NUM_PARTITIONS": "4",
    "KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "1",
    "KAFKA_TRANSACTION_STATE_LOG_MIN_ISR": "1",
    "KAFKA_SHARE_COORDINATOR_STATE_TOPIC_REPLICATION_FACTOR": "1",
    "KAFKA_SHARE_COORDINATOR_STATE_TOPIC_MIN_ISR": "1",
    "KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS": "0",
    "KAFKA_AUTO_CREATE_TOPICS_ENABLE": "false",
}


@cache
def can_run(image: str) -> bool:
    """Whether an engine answers and has the image, or gets it in reasonable time."""
    answer: list[bool] = []
    asking = threading.Thread(target=lambda: answer.append(engine_has(image)), daemon=True)
    asking.start()
    asking.join(ENGINE_SECONDS + PULL_SECONDS)
    return answer == [True]


def engine_has(image: str) -> bool:
    try:
        client = docker.from_env(timeout=ENGINE_SECONDS)
        client.ping()
    except (DockerException, OSError):
        return False
    try:
        client.images.get(image)
    except ImageNotFound:
        return pulled(image)
    except (DockerException, OSError):
        return False
    return True


def pulled(image: str) -> bool:
    try:
        docker.from_env(timeout=PULL_SECONDS).images.pull(image)
    except (DockerException, OSError):
        return False
    return True


@contextmanager
def kafka_container() -> Iterator[str]:
    """The broker tells clients the address to come back to, so the host's port is chosen beforehand."""
    port = port_for_the_engine()
    container = DockerContainer(KAFKA_IMAGE).with_bind_ports(9092, port)
    for name, value in KAFKA_SETTINGS.items():
        container.with_env(name, value)
    container.with_env("KAFKA_ADVERTISED_LISTENERS", f"BROKER://localhost:{port}")
    container.waiting_for(LogMessageWaitStrategy("Kafka Server started").with_startup_timeout(90))
    reaper_only_if_had()
    with container:
        yield f"localhost:{port}"


@contextmanager
def postgres_container() -> Iterator[str]:
    reaper_only_if_had()
    with PostgresContainer(POSTGRES_IMAGE, driver=None) as container:
        yield container.get_connection_url()


def reaper_only_if_had() -> None:
    """testcontainers cleans up through an image of its own; without it the fixtures' own end must do."""
    testcontainers_config.ryuk_disabled = not can_run(testcontainers_config.ryuk_image)


def port_for_the_engine() -> int:
    with socket.socket() as probe:
        probe.bind(("", 0))
        port: int = probe.getsockname()[1]
    return port
