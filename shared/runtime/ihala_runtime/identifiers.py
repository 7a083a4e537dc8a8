"""Identifiers: UUIDv7, whose order is the order of making, so that indexes grow at one end."""

from uuid import UUID

import uuid_utils.compat


def uuid7() -> UUID:
    return uuid_utils.compat.uuid7()
