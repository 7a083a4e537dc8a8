"""Somebody else's Kafka, as the environment names it for `up` and for the commands that ask a running system."""

import os

from ihala_runtime.kafka_address import KafkaAddress

from ihala_local.failures import LocalFailure


class KafkaRefused(LocalFailure):
    """What the environment says of Kafka cannot be."""


def given_kafka() -> KafkaAddress | None:
    """None: ours is to be started."""
    return told_kafka() if os.environ.get("IHALA_KAFKA_BOOTSTRAP") else None


def told_kafka() -> KafkaAddress:
    """As a service is told. Raises KafkaRefused."""
    from ihala_runtime import settings  # slow to import: not for a command that needs none

    try:
        return settings.told_kafka()
    except settings.SettingsRefused as error:
        raise KafkaRefused(str(error)) from None


def kafka_at(bootstrap: str) -> KafkaAddress:
    """A running system's; with the environment's certificate and password, where that is the one it names."""
    given = given_kafka()
    return given if given is not None and given.bootstrap == bootstrap else KafkaAddress(bootstrap)
