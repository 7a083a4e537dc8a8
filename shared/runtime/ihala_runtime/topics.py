"""Makes topics from their declarations: ``python -m ihala_runtime.topics`` makes the fixed ones.

Making a topic that exists changes nothing. A topic is never made by a first write.
"""

import asyncio
import os
import sys
from collections.abc import Sequence

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code
from ihala_events.topics import FIXED_TOPICS, Topic

from ihala_runtime.kafka_address import KafkaAddress
from ihala_runtime.settings import SettingsRefused, told_kafka

REPLICATION = "IHALA_TOPIC_REPLICATION"
"""Environment variable: replicas of a topic; default 1, for a single broker."""


async def make_topics(kafka: KafkaAddress, topics: Sequence[Topic]) -> list[str]:
    """Make those that are missing; their names. Raises KafkaError when the broker refuses or cannot be reached."""
    admin = AIOKafkaAdminClient(**kafka.options(), request_timeout_ms=20_000)
    await admin.start()
    try:
        known = set(await admin.list_topics())
        missing = [topic for topic in topics if topic.name not in known]
        if missing:
            _raise_refusals(await admin.create_topics([_new(topic) for topic in missing]))
        return [topic.name for topic in missing]
    finally:
        await admin.close()


def _new(topic: Topic) -> NewTopic:
    replication = int(os.environ.get(REPLICATION, "1"))
    return NewTopic(topic.name, topic.partitions, replication, topic_configs=dict(topic.config))


def _raise_refusals(response: object) -> None:
    for _, code, *_ in getattr(response, "topic_errors", ()):
        error = for_code(code)
        if code and error is not TopicAlreadyExistsError:
            raise error


def main() -> int:
    try:
        kafka = told_kafka()
        made = asyncio.run(make_topics(kafka, FIXED_TOPICS))
    except SettingsRefused as error:
        sys.stderr.write(f"topics were not made: {error}\n")
        return 1
    except KafkaError as error:
        sys.stderr.write(f"topics were not made: {type(error).__name__} at {kafka.bootstrap}\n")
        return 1
    sys.stdout.write(f"{len(made)} topics made, {len(FIXED_TOPICS) - len(made)} there already\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
