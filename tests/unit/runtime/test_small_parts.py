"""The runtime's small parts: waves, schedules, clocks, pointers, span attributes, time-zone data."""

import json
import logging
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from ihala_events.vocabulary import TIME_ZONE
from ihala_runtime import telemetry
from ihala_runtime.access import key_hash, new_key
from ihala_runtime.clock import FileClock, StaleTimeZoneData, check_time_zone_data
from ihala_runtime.logs import OnceInAWhile
from ihala_runtime.problem import Problem, parse_body
from ihala_runtime.retry_schedule import PARKED, BackOff, RetrySchedule
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import SpanKind
from pydantic import BaseModel, TypeAdapter

NOW = datetime(2026, 11, 16, 10, 15, tzinfo=UTC)


def test_a_parked_record_is_tried_after_5_s_30_s_2_min_10_min_1_h_and_then_dead() -> None:
    assert [PARKED.after(failed) for failed in range(1, 7)] == [5, 30, 120, 600, 3600, None]


def test_a_schedule_whose_delays_shrink_is_refused() -> None:
    with pytest.raises(ValueError, match="increase"):
        RetrySchedule((5, 1))


def test_pauses_double_up_to_the_last() -> None:
    back_off = BackOff(1, 8)

    pauses = [back_off.pause() for _ in range(5)]

    for pause, full in zip(pauses, [1, 2, 4, 8, 8], strict=True):
        assert 0.8 * full <= pause <= full


def test_a_test_clock_stands_still_and_never_goes_back(tmp_path: Path) -> None:
    file = tmp_path / "clock.json"
    file.write_text(json.dumps({"now": "2026-11-16T10:15:00Z"}))
    clock = FileClock(file)
    clock.LOOK_AGAIN_SECONDS = 0.0

    assert clock.now() == NOW
    file.write_text(json.dumps({"now": "2026-11-16T11:15:00+00:00"}))
    assert clock.now().hour == 11
    file.write_text(json.dumps({"now": "2026-11-01T00:00:00Z"}))
    assert clock.now().hour == 11


def test_fresh_time_zone_data_pass_and_those_of_another_rule_do_not() -> None:
    check_time_zone_data(TIME_ZONE)
    with pytest.raises(StaleTimeZoneData, match="tzdata"):
        check_time_zone_data(ZoneInfo("Europe/Paris"))


class Inner(BaseModel):
    count: int


class Body(BaseModel):
    items: list[Inner]


def test_a_pointer_names_the_field_and_the_value_is_not_repeated() -> None:
    with pytest.raises(Problem) as refused:
        parse_body(TypeAdapter(Body), b'{"items": [{"count": 1}, {"count": "secret"}]}')

    assert refused.value.status == 422
    assert refused.value.members["errors"][0]["pointer"] == "/items/1/count"
    assert "secret" not in json.dumps(refused.value.body())


def test_a_span_attribute_that_is_not_on_the_list_is_refused() -> None:
    with pytest.raises(ValueError, match="allow-list"), telemetry.span("x", person__name="Fatou Example"):
        pass


@pytest.mark.parametrize(
    "text",
    ["", "00-x-y-01", f"00-{'0' * 32}-{'1' * 16}-01", f"00-{'1' * 32}-{'0' * 16}-01", f"00-{'G' * 32}-{'1' * 16}-01"],
)
def test_what_is_no_traceparent_starts_no_trace(text: str) -> None:
    assert not telemetry.is_traceparent(text)


def test_a_key_tells_its_id_and_is_stored_as_a_hash_only() -> None:
    credential_id, key = new_key()

    assert key.startswith(f"ihala_{credential_id}_")
    assert len(key.split("_")) == 3
    assert len(key_hash(key)) == 64
    assert credential_id not in key_hash(key)


def test_what_a_library_says_with_each_of_its_tries_is_written_once_and_other_messages_always(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.handler.addFilter(OnceInAWhile("aiokafka"))
    for _ in range(100):
        logging.getLogger("aiokafka.conn").error("Unable to connect to node %s", 1)
        logging.getLogger("ihala").error("one of ours")
    logging.getLogger("aiokafka.conn").error("something else")

    assert [record.msg for record in caplog.records].count("one of ours") == 100
    assert [record.msg for record in caplog.records if record.name == "aiokafka.conn"] == [
        "Unable to connect to node %s",
        "something else",
    ]


def test_a_journey_that_is_not_sampled_goes_on_under_the_same_traceparent_and_records_no_span() -> None:
    left_out = f"00-{'1' * 32}-{'2' * 16}-00"

    with telemetry.span("above", parent=left_out) as above, telemetry.span("below") as below:
        here = telemetry.current_traceparent()

    assert here == left_out
    assert not above.is_recording()
    assert not below.is_recording()
    assert telemetry.current_traceparent() is None


def test_what_is_sampled_is_recorded_also_within_a_journey_that_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telemetry, "_tracer", TracerProvider().get_tracer("test"))
    left_out, sampled = f"00-{'1' * 32}-{'2' * 16}-00", f"00-{'3' * 32}-{'4' * 16}-01"

    with telemetry.span("above", parent=left_out) as above, telemetry.span("apart", parent=sampled) as apart:
        here = telemetry.current_traceparent()
        recorded = above.is_recording(), apart.is_recording()

    assert recorded == (False, True)
    assert telemetry.trace_id_of(here) == "3" * 32


def test_a_step_goes_on_in_the_trace_of_its_journey_whoever_made_the_hop() -> None:
    began, hop = f"00-{'1' * 32}-{'2' * 16}-00", f"00-{'3' * 32}-{'4' * 16}-00"

    with telemetry.continued("timer", SpanKind.INTERNAL, began=began, hop=hop):
        within = (telemetry.current_journey(), telemetry.current_traceparent())
    with telemetry.continued("record", SpanKind.CONSUMER, began=None, hop=hop):
        begun = (telemetry.current_journey(), telemetry.current_traceparent())

    assert within == (began, began)
    assert begun == (hop, hop)
    assert telemetry.current_journey() is None
