"""Reading OTLP, forgetting old traces, and Jaeger's query parameters."""

import pytest
from ihala_local.traces import TraceStore, decode, query_from
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

NOW_MICROSECONDS = 1_800_000_000_000_000


def a_request(trace_number: int, spans: int = 1, service: str = "intake") -> ExportTraceServiceRequest:
    request = ExportTraceServiceRequest()
    resource_spans = request.resource_spans.add()
    attribute = resource_spans.resource.attributes.add(key="service.name")
    attribute.value.string_value = service
    scope_spans = resource_spans.scope_spans.add()
    for number in range(spans):
        scope_spans.spans.add(
            trace_id=trace_number.to_bytes(16, "big"), span_id=(number + 1).to_bytes(8, "big"), name="work"
        )
    return request


def kept(store: TraceStore) -> list[int]:
    return [int.from_bytes(trace_id, "big") for trace_id, _ in store.newest_first()]


def test_the_newest_trace_comes_first() -> None:
    store = TraceStore()
    for number in (1, 2, 3):
        store.add(a_request(number))

    assert kept(store) == [3, 2, 1]


def test_the_oldest_traces_go_when_there_are_too_many() -> None:
    store = TraceStore(max_traces=2)
    for number in (1, 2, 3):
        store.add(a_request(number))

    assert kept(store) == [3, 2]


def test_the_oldest_traces_go_when_there_are_too_many_spans() -> None:
    store = TraceStore(max_spans=10)
    store.add(a_request(1, spans=6))
    store.add(a_request(2, spans=6))

    assert kept(store) == [2]


def test_spans_of_one_trace_come_together_whoever_sent_them() -> None:
    store = TraceStore()
    store.add(a_request(1, service="intake"))
    store.add(a_request(1, service="referral"))

    spans = store.trace((1).to_bytes(16, "big"))

    assert spans is not None
    assert [span.service for span in spans] == ["intake", "referral"]
    assert store.services() == ["intake", "referral"]


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"\xff\xff\xff", "application/x-protobuf"),
        (b"{", "application/json"),
        (b"[]", "application/json"),
        (b'{"resourceSpans": 5}', "application/json"),
        (b'{"resourceSpans": [{"scopeSpans": [{"spans": [{"traceId": "zz"}]}]}]}', "application/json"),
        (b'{"resourceSpans": [{"scopeSpans": [{"spans": [7]}]}]}', "application/json"),
    ],
)
def test_what_is_not_otlp_is_refused(body: bytes, content_type: str) -> None:
    with pytest.raises(ValueError):
        decode(body, content_type)


def test_a_query_reads_lookback_tags_and_durations() -> None:
    parameters = {
        "service": "intake",
        "operation": "POST",
        "tags": '{"http.status_code": 201, "error": true}',
        "lookback": "1h",
        "minDuration": "1.5ms",
        "maxDuration": "2s",
        "limit": "5",
    }

    query = query_from(parameters, NOW_MICROSECONDS)

    assert query.start == NOW_MICROSECONDS - 3_600_000_000
    assert query.tags == {"http.status_code": "201", "error": "true"}
    assert (query.min_duration, query.max_duration, query.limit) == (1_500, 2_000_000, 5)


def test_a_start_wins_over_a_lookback() -> None:
    parameters = {"service": "intake", "start": "17", "end": "99", "lookback": "1h"}

    query = query_from(parameters, NOW_MICROSECONDS)

    assert (query.start, query.end) == (17, 99)


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"service": ""},
        {"service": "s", "tags": "["},
        {"service": "s", "tags": "[]"},
        {"service": "s", "limit": "many"},
        {"service": "s", "lookback": "soon"},
        {"service": "s", "minDuration": "5 ms"},
    ],
)
def test_a_parameter_that_cannot_be_read_is_refused(parameters: dict[str, str]) -> None:
    with pytest.raises(ValueError):
        query_from(parameters, NOW_MICROSECONDS)
