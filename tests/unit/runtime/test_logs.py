"""One JSON object a line, with ids and without any text that came from outside."""

import json
import logging
import sys
from collections.abc import Iterator

import pytest
from ihala_runtime import logs, telemetry
from opentelemetry.sdk.trace import TracerProvider

NAME = "Zenobia Kanari-Exemple"


@pytest.fixture(autouse=True)
def root_as_before() -> Iterator[None]:
    handlers, level = logging.root.handlers[:], logging.root.level
    yield
    logging.root.handlers[:], logging.root.level = handlers, level


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_a_line_says_what_where_and_of_which_ids(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up("intake")

    logs.logger("ihala").info("case stored", action="intake.store", case_ref="AG-7K3F-9QXY", count=3)

    (line,) = lines(capsys)
    assert str(line.pop("timestamp")).endswith("Z")
    assert line == {
        "action": "intake.store",
        "case_ref": "AG-7K3F-9QXY",
        "count": 3,
        "event": "case stored",
        "level": "info",
        "service": "intake",
    }


def test_a_line_of_a_journey_names_its_trace(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up("intake")

    with TracerProvider().get_tracer("test").start_as_current_span("a request"):
        logs.logger("ihala").warning("slow")
        trace_id = telemetry.trace_id_of(telemetry.current_traceparent())

    (line,) = lines(capsys)
    assert (line["trace_id"], line["level"]) == (trace_id, "warning")


def test_an_exception_is_told_by_its_type_and_place_and_never_by_its_text(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up("intake")
    written = []

    try:
        raise ValueError(NAME)
    except ValueError as error:
        logs.logger("ihala").exception("not stored")
        logs.logger("ihala").error("not stored", exc_info=error)
        logging.getLogger("a.library").error("failed", exc_info=sys.exc_info())
        written = capsys.readouterr().err.splitlines()

    assert len(written) == 3
    for line in map(json.loads, written):
        assert line["error_class"] == "ValueError"
        assert "test_logs.py" in line["error_at"][0]
    assert NAME not in "".join(written)


def test_what_is_below_the_level_is_not_written(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up("intake", "WARNING")

    logs.logger("ihala").info("not to be read")
    logging.getLogger("aiokafka").warning("nor this")

    assert lines(capsys) == []
