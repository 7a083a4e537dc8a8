"""Logs: one JSON object a line on stderr, with ids and ``action``, never a payload.

An exception is written as its type and the places it passed: its text may hold values, so it is left out.
What a library repeats with each of its tries is written once in a while: a server's long absence must not fill a disk.
"""

import logging
import math
import sys
import time
import traceback
from collections.abc import MutableMapping
from typing import Any

import structlog
from structlog.typing import EventDict, WrappedLogger

from ihala_runtime import telemetry

AGAIN_AFTER_SECONDS = 10.0


def set_up(service: str, level: str = "INFO") -> None:
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _where(service),
        _exception_without_text,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(ensure_ascii=False),
            ],
        )
    )
    handler.addFilter(OnceInAWhile("aiokafka"))
    logging.basicConfig(handlers=[handler], level=level, force=True)
    for noisy in ("aiokafka", "faststream", "uvicorn.access", "opentelemetry", "urllib3"):
        logging.getLogger(noisy).setLevel(logging.ERROR)


class OnceInAWhile(logging.Filter):
    """Of the loggers below this name, the same message (whatever it names) at most once in some seconds."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._last: dict[tuple[str, int], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if not super().filter(record):
            return True  # another's
        said_at, now = (record.name, record.lineno), time.monotonic()
        if now < self._last.get(said_at, -math.inf) + AGAIN_AFTER_SECONDS:
            return False
        self._last[said_at] = now
        return True


def _where(service: str) -> structlog.typing.Processor:
    def add(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        event["service"] = service
        trace_id = telemetry.trace_id_of(telemetry.current_traceparent())
        if trace_id:
            event["trace_id"] = trace_id
        return event

    return add


def _exception_without_text(_logger: WrappedLogger, _method: str, event: EventDict) -> MutableMapping[str, Any]:
    given = event.pop("exc_info", None)
    error = sys.exc_info()[1] if given is True else given[1] if isinstance(given, tuple) else given
    if isinstance(error, BaseException):
        event["error_class"] = type(error).__name__
        event["error_at"] = [
            f"{frame.filename.rsplit('site-packages/', 1)[-1]}:{frame.lineno} {frame.name}"
            for frame in traceback.extract_tb(error.__traceback__)[-8:]
        ]
    return event


def logger(name: str) -> structlog.stdlib.BoundLogger:
    """A logger; the message is a short fixed text, the ids are keyword arguments."""
    bound: structlog.stdlib.BoundLogger = structlog.get_logger(name)
    return bound
