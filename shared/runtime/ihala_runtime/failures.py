"""Why a message or a request could not be handled, told by type, so that the caller knows whether trying again helps.

Failure
├── TemporaryFailure   this record, maybe later: parked and retried on a schedule
├── InvalidMessage     this record, never: dead at once, its key goes on
└── DependencyDown     not this record's fault: wait, nothing is parked
"""

import asyncpg
from aiokafka.errors import KafkaError


class Failure(Exception):
    """``reason``: a slug for grouping. The text names fields and rules, never a received value."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(detail or reason)
        self.reason = reason
        self.detail = detail


class TemporaryFailure(Failure):
    """The record may succeed later, for instance once an event of another topic has arrived."""


class InvalidMessage(Failure):
    """The record can never succeed: bad UTF-8, bad JSON, unknown type, schema error."""


class DependencyDown(Failure):
    """A database, a broker or another service cannot be reached."""


INFRASTRUCTURE = (
    DependencyDown,
    OSError,
    TimeoutError,
    KafkaError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # the server ended the connection while something was being sent
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,  # admin shutdown, cannot connect now
    asyncpg.InsufficientResourcesError,  # disk full, too many connections
    asyncpg.PostgresSystemError,
    asyncpg.InternalServerError,
    asyncpg.TransactionRollbackError,  # deadlock or serialization: the same work may succeed at once
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.IdleInTransactionSessionTimeoutError,  # this process was frozen
    asyncpg.InvalidCachedStatementError,  # the next release changed a table: the statement is prepared anew next time
)


def is_infrastructure(error: BaseException) -> bool:
    """True when waiting is the answer: nothing is wrong with the record or the request."""
    return isinstance(error, INFRASTRUCTURE)


def failure_class(error: BaseException) -> str:
    """What failures are grouped by: our slug, else the exception's type. Never its text, which may hold values."""
    return error.reason if isinstance(error, Failure) else type(error).__name__


def failure_text(error: BaseException) -> str:
    """Our own words about a failure; for a foreign exception only its type (its text may hold values)."""
    return error.detail if isinstance(error, Failure) else type(error).__name__
