"""The trace receiver against the real OpenTelemetry exporter, read back in Jaeger's shape."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer
from ihala_local.traces import TraceServer, TraceStore
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.trace import Link, SpanKind, Status, StatusCode, format_trace_id

Client = TestClient[Any, Any]
TRACE_ID = "5b8efff798038103d269b633813fc60c"


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    async with TestClient(TestServer(TraceServer(TraceStore()).app())) as client:
        yield client


def export_one_journey(endpoint: str, compression: Compression) -> str:
    """Two spans of service `intake`: `webhook`, failed, inside `accept`. Returns the trace id."""
    exporter = OTLPSpanExporter(endpoint=endpoint, compression=compression)
    provider = TracerProvider(resource=Resource({"service.name": "intake", "service.version": "1"}))
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("ihala.test")
    with tracer.start_as_current_span("accept", kind=SpanKind.SERVER) as accept:
        link = Link(accept.get_span_context())
        with tracer.start_as_current_span("webhook", kind=SpanKind.CLIENT, links=[link]) as webhook:
            webhook.set_attributes({"http.status": 503, "ok": False, "share": 0.5, "tags": ("a", "b")})
            webhook.add_event("retry", {"delay_seconds": 5})
            webhook.set_status(Status(StatusCode.ERROR, "answered 503"))
    provider.shutdown()
    return format_trace_id(accept.get_span_context().trace_id)


@pytest.mark.parametrize("compression", [Compression.NoCompression, Compression.Gzip])
async def test_an_exported_trace_reads_like_one_of_jaeger(client: Client, compression: Compression) -> None:
    endpoint = str(client.make_url("/v1/traces"))
    trace_id = await asyncio.to_thread(export_one_journey, endpoint, compression)

    answer = await (await client.get(f"/api/traces/{trace_id}")).json()

    (trace,) = answer["data"]
    accept, webhook = trace["spans"]
    assert trace["traceID"] == trace_id
    assert (accept["operationName"], webhook["operationName"]) == ("accept", "webhook")
    assert webhook["references"] == [
        {"refType": "CHILD_OF", "traceID": trace_id, "spanID": accept["spanID"]},
        {"refType": "FOLLOWS_FROM", "traceID": trace_id, "spanID": accept["spanID"]},
    ]
    assert {(t["key"], t["type"], t["value"]) for t in webhook["tags"]} == {
        ("http.status", "int64", 503),
        ("ok", "bool", False),
        ("share", "float64", 0.5),
        ("tags", "string", '["a", "b"]'),
        ("otel.scope.name", "string", "ihala.test"),
        ("span.kind", "string", "client"),
        ("otel.status_code", "string", "ERROR"),
        ("otel.status_description", "string", "answered 503"),
        ("error", "bool", True),
    }
    assert webhook["logs"][0]["fields"][0] == {"key": "event", "type": "string", "value": "retry"}
    assert accept["startTime"] <= webhook["startTime"] <= accept["startTime"] + accept["duration"]
    assert trace["processes"][webhook["processID"]]["serviceName"] == "intake"


async def test_traces_are_found_by_service_operation_and_tags(client: Client) -> None:
    endpoint = str(client.make_url("/v1/traces"))
    trace_id = await asyncio.to_thread(export_one_journey, endpoint, Compression.NoCompression)

    async def found(**parameters: str) -> list[str]:
        answer = await (await client.get("/api/traces", params=parameters)).json()
        return [trace["traceID"] for trace in answer["data"]]

    assert await found(service="intake") == [trace_id]
    assert await found(service="intake", operation="webhook", tags='{"error":"true"}') == [trace_id]
    assert await found(service="intake", operation="accept", tags='{"error":"true"}') == []
    assert await found(service="intake", lookback="1h", tag="http.status:503") == [trace_id]
    assert await found(service="intake", end="1") == []
    assert await found(service="intake", minDuration="1h") == []
    assert await found(service="other") == []


async def test_services_and_operations_are_listed(client: Client) -> None:
    endpoint = str(client.make_url("/v1/traces"))
    await asyncio.to_thread(export_one_journey, endpoint, Compression.NoCompression)

    async def listed(path: str) -> Any:
        return (await (await client.get(path)).json())["data"]

    assert await listed("/api/services") == ["intake"]
    assert await listed("/api/services/intake/operations") == ["accept", "webhook"]
    assert await listed("/api/operations?service=intake&spanKind=client") == [{"name": "webhook", "spanKind": "client"}]


async def test_json_with_hexadecimal_ids_is_taken(client: Client) -> None:
    span = {"traceId": TRACE_ID, "spanId": "eee19b7ec3c1b174", "name": "from-json", "kind": 2}
    span |= {"startTimeUnixNano": "1544712660000000000", "endTimeUnixNano": "1544712661000000000"}
    document = {"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}

    answer = await client.post(
        "/v1/traces",
        data=gzip.compress(json.dumps(document).encode()),
        headers={"Content-Type": "application/json", "Content-Encoding": "gzip"},
    )

    assert (answer.status, await answer.json()) == (200, {})
    trace = (await (await client.get(f"/api/traces/{TRACE_ID}")).json())["data"][0]
    assert trace["spans"][0]["startTime"] == 1544712660000000
    assert trace["spans"][0]["duration"] == 1_000_000
    assert trace["processes"] == {"p1": {"serviceName": "unknown_service", "tags": []}}


async def test_a_trace_that_is_not_there_is_404_as_jaeger_says_it(client: Client) -> None:
    answer = await client.get(f"/api/traces/{TRACE_ID}")

    assert answer.status == 404
    assert (await answer.json())["errors"] == [{"code": 404, "msg": "trace not found"}]


@pytest.mark.parametrize("path", ["/api/traces", "/api/traces?service=s&limit=x", "/api/traces/xyz"])
async def test_a_question_that_cannot_be_read_is_400(client: Client, path: str) -> None:
    assert (await client.get(path)).status == 400


async def test_a_request_that_unpacks_to_too_much_is_refused(client: Client) -> None:
    bomb = gzip.compress(b"\0" * (32 * 1024 * 1024))

    answer = await client.post("/v1/traces", data=bomb, headers={"Content-Encoding": "gzip"})

    assert answer.status == 413
