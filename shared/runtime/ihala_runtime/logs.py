"""Logs: one JSON object a line on stderr, with ids and ``action``, never a payload.

An exception is written as its type and the places it passed: its text may hold values, so it is left out.
What a library repeats with each of its tries is written once in a while: a server's long absence must not fill a disk.
"""

import json
import logging
import math
import sys
import time
import traceback
from datetime import UTC, datetime
from typing import Any

from ihala_runtime import telemetry

AGAIN_AFTER_SECONDS = 10.0
NOISY = ("aiokafka", "faststream", "uvicorn.access", "opentelemetry", "urllib3")


class Logger:
    """The message is a short fixed text, the ids are keyword arguments."""

    def __init__(self, name: str) -> None:
        self._logger = logging.getLogger(name)

    def info(self, message: str, **ids: Any) -> None:
        self._write(logging.INFO, message, ids)

    def warning(self, message: str, **ids: Any) -> None:
        self._write(logging.WARNING, message, ids)

    def error(self, message: str, **ids: Any) -> None:
        self._write(logging.ERROR, message, ids)

    def exception(self, message: str, **ids: Any) -> None:
        """An error, with the exception that is being handled."""
        self._write(logging.ERROR, message, {"exc_info": True, **ids})

    def _write(self, level: int, message: str, ids: dict[str, Any]) -> None:
        self._logger.log(level, message, exc_info=ids.pop("exc_info", None), extra={"ids": ids})


def logger(name: str) -> Logger:
    return Logger(name)


def set_up(service: str, level: str = "INFO") -> None:
    """For the whole process, what libraries log included."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(OneLine(service))
    handler.addFilter(OnceInAWhile("aiokafka"))
    logging.basicConfig(handlers=[handler], level=level, force=True)
    for noisy in NOISY:
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


class OneLine(logging.Formatter):
    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        line = {
            **getattr(record, "ids", {}),
            "event": record.getMessage(),
            "level": record.levelname.lower(),
            "timestamp": datetime.fromtimestamp(record.created, UTC).isoformat().replace("+00:00", "Z"),
            "service": self._service,
            **_trace(),
            **_exception_without_text(record),
        }
        return json.dumps(line, ensure_ascii=False, default=str)


def _trace() -> dict[str, str]:
    trace_id = telemetry.trace_id_of(telemetry.current_traceparent())
    return {"trace_id": trace_id} if trace_id else {}


def _exception_without_text(record: logging.LogRecord) -> dict[str, Any]:
    error = record.exc_info[1] if record.exc_info else None
    if error is None:
        return {}
    places = [
        f"{frame.filename.rsplit('site-packages/', 1)[-1]}:{frame.lineno} {frame.name}"
        for frame in traceback.extract_tb(error.__traceback__)[-8:]
    ]
    return {"error_class": type(error).__name__, "error_at": places}
