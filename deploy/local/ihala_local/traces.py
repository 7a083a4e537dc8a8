"""A small place for traces: takes OTLP over HTTP, keeps recent ones in memory, answers Jaeger's query API.

It exists so that one page can read the local stack and a real Jaeger in the same way. Rule: what comes in
is kept as it was decoded and only turned into Jaeger's shape when somebody asks; taking spans in must stay
cheap, because it shares its two cores with the system it watches.

Run: `python -m ihala_local.traces`  (IHALA_TRACES_HOST 127.0.0.1, IHALA_TRACES_PORT 4318)
    POST /v1/traces                              protobuf or JSON, gzip or plain
    GET  /api/traces/{trace_id}                  one trace
    GET  /api/traces?service=&operation=&tags=&limit=&start=&end=&lookback=&minDuration=&maxDuration=
    GET  /api/services, /api/services/{service}/operations, /api/operations?service=
"""

import base64
import json
import logging
import os
import re
import time
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from aiohttp import web
from google.protobuf import json_format
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

MAX_TRACES = 5_000
MAX_SPANS = 100_000
MAX_SPANS_OF_A_TRACE = 5_000
MAX_SERVICES = 200
MAX_OPERATIONS_OF_A_SERVICE = 1_000
MAX_REQUEST_BYTES = 16 * 1024 * 1024
TRACES_IN_AN_ANSWER = 20
MOST_TRACES_IN_AN_ANSWER = 1_500
UNKNOWN_SERVICE = "unknown_service"
NANOSECONDS_IN_A_MICROSECOND = 1_000
MICROSECONDS_IN = {"us": 1, "µs": 1, "ms": 1_000, "s": 1_000_000, "m": 60_000_000, "h": 3_600_000_000}
MICROSECONDS_IN |= {"d": 24 * MICROSECONDS_IN["h"], "w": 7 * 24 * MICROSECONDS_IN["h"]}
DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)(us|µs|ms|s|m|h|d|w)")


@dataclass(frozen=True, slots=True)
class KeptSpan:
    """A span as it came, with the service and library it came from."""

    span: Span
    resource: Resource
    scope: InstrumentationScope
    service: str


class TraceStore:
    """Recent traces. The oldest trace goes first, whole, when there are too many traces or spans."""

    def __init__(self, max_traces: int = MAX_TRACES, max_spans: int = MAX_SPANS) -> None:
        self._max_traces = max_traces
        self._max_spans = max_spans
        self._traces: OrderedDict[bytes, list[KeptSpan]] = OrderedDict()
        self._span_count = 0
        self._operations: dict[str, set[tuple[str, str]]] = {}

    def add(self, request: ExportTraceServiceRequest) -> None:
        for resource_spans in request.resource_spans:
            service = _service_name(resource_spans.resource)
            for scope_spans in resource_spans.scope_spans:
                for span in scope_spans.spans:
                    self._keep(KeptSpan(span, resource_spans.resource, scope_spans.scope, service))
        self._make_room()

    def trace(self, trace_id: bytes) -> list[KeptSpan] | None:
        return self._traces.get(trace_id)

    def newest_first(self) -> Iterator[tuple[bytes, list[KeptSpan]]]:
        return reversed(self._traces.items())

    def services(self) -> list[str]:
        return sorted(self._operations)

    def operations(self, service: str) -> list[tuple[str, str]]:
        """(name, kind) of the service's operations, sorted."""
        return sorted(self._operations.get(service, ()))

    def _keep(self, kept: KeptSpan) -> None:
        spans = self._traces.setdefault(kept.span.trace_id, [])
        if len(spans) >= MAX_SPANS_OF_A_TRACE:
            return
        spans.append(kept)
        self._span_count += 1
        self._note_operation(kept.service, (kept.span.name, _kind(kept.span)))

    def _note_operation(self, service: str, operation: tuple[str, str]) -> None:
        if service not in self._operations and len(self._operations) >= MAX_SERVICES:
            return
        operations = self._operations.setdefault(service, set())
        if len(operations) < MAX_OPERATIONS_OF_A_SERVICE:
            operations.add(operation)

    def _make_room(self) -> None:
        while len(self._traces) > self._max_traces or self._span_count > self._max_spans:
            _, spans = self._traces.popitem(last=False)
            self._span_count -= len(spans)


def _service_name(resource: Resource) -> str:
    names = (a.value.string_value for a in resource.attributes if a.key == "service.name")
    return next(names, "") or UNKNOWN_SERVICE


def _kind(span: Span) -> str:
    """`server`, `client`, `producer`, `consumer`, `internal`; empty when unspecified."""
    return Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_").lower() if span.kind else ""


# --- reading OTLP ---


def decode(body: bytes, content_type: str) -> ExportTraceServiceRequest:
    """Raises ValueError for what is not OTLP."""
    try:
        if content_type == "application/json":
            return _decode_json(body)
        return ExportTraceServiceRequest.FromString(body)
    except (DecodeError, json_format.ParseError, RecursionError, AttributeError, TypeError) as error:
        raise ValueError("not an OTLP trace request") from error


def _decode_json(body: bytes) -> ExportTraceServiceRequest:
    """OTLP's JSON writes ids in hexadecimal where protobuf's JSON wants base64."""
    document = json.loads(body)
    for span in _spans_of(document):
        _ids_to_base64(span)
        for link in span.get("links", ()):
            _ids_to_base64(link)
    request = ExportTraceServiceRequest()
    json_format.ParseDict(document, request, ignore_unknown_fields=True)
    return request


def _spans_of(document: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for resource_spans in document.get("resourceSpans", ()):
        for scope_spans in resource_spans.get("scopeSpans", ()):
            yield from scope_spans.get("spans", ())


def _ids_to_base64(holder: dict[str, Any]) -> None:
    for name in ("traceId", "spanId", "parentSpanId"):
        if holder.get(name):
            holder[name] = base64.b64encode(bytes.fromhex(holder[name])).decode()


# --- Jaeger's shape ---


def jaeger_trace(trace_id: bytes, spans: Iterable[KeptSpan]) -> dict[str, Any]:
    processes: dict[bytes, tuple[str, dict[str, Any]]] = {}
    rows = [_jaeger_span(kept, _process_id(kept, processes)) for kept in spans]
    rows.sort(key=lambda row: row["startTime"])
    return {
        "traceID": trace_id.hex(),
        "spans": rows,
        "processes": dict(processes.values()),
        "warnings": None,
    }


def _process_id(kept: KeptSpan, processes: dict[bytes, tuple[str, dict[str, Any]]]) -> str:
    identity = kept.resource.SerializeToString(deterministic=True)
    if identity not in processes:
        tags = [_tag(a) for a in kept.resource.attributes if a.key != "service.name"]
        processes[identity] = (f"p{len(processes) + 1}", {"serviceName": kept.service, "tags": tags})
    return processes[identity][0]


def _jaeger_span(kept: KeptSpan, process_id: str) -> dict[str, Any]:
    span = kept.span
    return {
        "traceID": span.trace_id.hex(),
        "spanID": span.span_id.hex(),
        "operationName": span.name,
        "references": _references(span),
        "startTime": span.start_time_unix_nano // NANOSECONDS_IN_A_MICROSECOND,
        "duration": _duration_microseconds(span),
        "tags": _span_tags(kept),
        "logs": [_log(event) for event in span.events],
        "processID": process_id,
        "warnings": None,
    }


def _duration_microseconds(span: Span) -> int:
    return max(0, span.end_time_unix_nano - span.start_time_unix_nano) // NANOSECONDS_IN_A_MICROSECOND


def _references(span: Span) -> list[dict[str, str]]:
    parents = [_reference("CHILD_OF", span.trace_id, span.parent_span_id)] if span.parent_span_id else []
    return parents + [_reference("FOLLOWS_FROM", link.trace_id, link.span_id) for link in span.links]


def _reference(kind: str, trace_id: bytes, span_id: bytes) -> dict[str, str]:
    return {"refType": kind, "traceID": trace_id.hex(), "spanID": span_id.hex()}


def _span_tags(kept: KeptSpan) -> list[dict[str, Any]]:
    tags = [_tag(attribute) for attribute in kept.span.attributes]
    if kept.scope.name:
        tags.append(_typed_tag("otel.scope.name", "string", kept.scope.name))
    if kind := _kind(kept.span):
        tags.append(_typed_tag("span.kind", "string", kind))
    return tags + _status_tags(kept.span.status)


def _status_tags(status: Status) -> list[dict[str, Any]]:
    match status.code:
        case Status.STATUS_CODE_OK:
            return [_typed_tag("otel.status_code", "string", "OK")]
        case Status.STATUS_CODE_ERROR:
            tags = [_typed_tag("otel.status_code", "string", "ERROR"), _typed_tag("error", "bool", True)]
            described = [_typed_tag("otel.status_description", "string", status.message)]
            return tags + (described if status.message else [])
        case _:
            return []


def _log(event: Span.Event) -> dict[str, Any]:
    fields = [_typed_tag("event", "string", event.name)] + [_tag(a) for a in event.attributes]
    return {"timestamp": event.time_unix_nano // NANOSECONDS_IN_A_MICROSECOND, "fields": fields}


def _tag(attribute: KeyValue) -> dict[str, Any]:
    kind, value = _typed_value(attribute.value)
    return _typed_tag(attribute.key, kind, value)


def _typed_tag(key: str, kind: str, value: object) -> dict[str, Any]:
    return {"key": key, "type": kind, "value": value}


def _typed_value(value: AnyValue) -> tuple[str, Any]:
    match value.WhichOneof("value"):
        case "bool_value":
            return "bool", value.bool_value
        case "int_value":
            return "int64", value.int_value
        case "double_value":
            return "float64", value.double_value
        case "bytes_value":
            return "binary", base64.b64encode(value.bytes_value).decode()
        case "array_value" | "kvlist_value":
            return "string", json.dumps(_plain(value), ensure_ascii=False)
        case _:
            return "string", value.string_value


def _plain(value: AnyValue) -> Any:
    match value.WhichOneof("value"):
        case "array_value":
            return [_plain(item) for item in value.array_value.values]
        case "kvlist_value":
            return {item.key: _plain(item.value) for item in value.kvlist_value.values}
        case _:
            return _typed_value(value)[1]


# --- asking ---


@dataclass(frozen=True, slots=True)
class TraceQuery:
    """Times and durations in microseconds. A trace is found when one of its spans fits everything."""

    service: str
    operation: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    start: int = 0
    end: int | None = None
    min_duration: int = 0
    max_duration: int | None = None
    limit: int = TRACES_IN_AN_ANSWER

    def finds(self, spans: Iterable[KeptSpan]) -> bool:
        return any(self._fits(kept) for kept in spans)

    def _fits(self, kept: KeptSpan) -> bool:
        named = kept.service == self.service and self.operation in (None, kept.span.name)
        return named and self._in_time(kept.span) and self._tagged(kept)

    def _in_time(self, span: Span) -> bool:
        started = span.start_time_unix_nano // NANOSECONDS_IN_A_MICROSECOND
        duration = _duration_microseconds(span)
        begun = self.start <= started and (self.end is None or started <= self.end)
        return begun and self.min_duration <= duration <= (self.max_duration or duration)

    def _tagged(self, kept: KeptSpan) -> bool:
        if not self.tags:
            return True
        tags = _span_tags(kept) + [_tag(attribute) for attribute in kept.resource.attributes]
        present = {(tag["key"], _as_text(tag["value"])) for tag in tags}
        return present.issuperset(self.tags.items())


def _as_text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def query_from(parameters: Mapping[str, str], now_microseconds: int) -> TraceQuery:
    """Raises ValueError for a parameter that cannot be read."""
    if not parameters.get("service"):
        raise ValueError("parameter 'service' is required")
    start = _start(parameters, now_microseconds)
    limit = int(parameters.get("limit") or TRACES_IN_AN_ANSWER)
    return TraceQuery(
        service=parameters["service"],
        operation=parameters.get("operation") or None,
        tags=_wanted_tags(parameters),
        start=start,
        end=int(parameters["end"]) if parameters.get("end") else None,
        min_duration=_duration(parameters.get("minDuration")) or 0,
        max_duration=_duration(parameters.get("maxDuration")),
        limit=max(1, min(limit, MOST_TRACES_IN_AN_ANSWER)),
    )


def _start(parameters: Mapping[str, str], now_microseconds: int) -> int:
    if parameters.get("start"):
        return int(parameters["start"])
    lookback = parameters.get("lookback")
    if not lookback or lookback == "custom":
        return 0
    return now_microseconds - (_duration(lookback) or 0)


def _wanted_tags(parameters: Mapping[str, str]) -> dict[str, str]:
    """`tags` is a JSON object, `tag` is one key:value."""
    wanted = json.loads(parameters.get("tags") or "{}")
    if not isinstance(wanted, dict):
        raise ValueError("parameter 'tags' must be a JSON object")
    if single := parameters.get("tag"):
        key, _, value = single.partition(":")
        wanted[key] = value
    return {str(key): _as_text(value) for key, value in wanted.items()}


def _duration(text: str | None) -> int | None:
    """`1.5s`, `200ms`, `1h30m` in microseconds."""
    if not text:
        return None
    parts = DURATION_PART.findall(text)
    if "".join(number + unit for number, unit in parts) != text:
        raise ValueError("a duration such as 200ms, 1.5s or 2h is expected")
    return round(sum(float(number) * MICROSECONDS_IN[unit] for number, unit in parts))


# --- HTTP ---


class TraceServer:
    """The routes over one store."""

    def __init__(self, store: TraceStore) -> None:
        self._store = store

    def app(self) -> web.Application:
        app = web.Application(client_max_size=MAX_REQUEST_BYTES)
        app.router.add_post("/v1/traces", self.receive)
        app.router.add_get("/api/traces", self.search)
        app.router.add_get("/api/traces/{trace_id}", self.one_trace)
        app.router.add_get("/api/services", self.services)
        app.router.add_get("/api/services/{service}/operations", self.operation_names)
        app.router.add_get("/api/operations", self.operations)
        app.router.add_get("/live", _alive)
        app.router.add_get("/ready", _alive)
        return app

    async def receive(self, request: web.Request) -> web.Response:
        body = await request.read()
        try:
            self._store.add(decode(body, request.content_type))
        except ValueError:
            return web.json_response({"message": "not an OTLP trace request"}, status=400)
        if request.content_type == "application/json":
            return web.json_response({})
        accepted = ExportTraceServiceResponse().SerializeToString()
        return web.Response(body=accepted, content_type="application/x-protobuf")

    async def one_trace(self, request: web.Request) -> web.Response:
        try:
            trace_id = bytes.fromhex(request.match_info["trace_id"].rjust(32, "0"))
        except ValueError:
            return _error(400, "a trace id is hexadecimal")
        spans = self._store.trace(trace_id)
        return _error(404, "trace not found") if spans is None else _answer([jaeger_trace(trace_id, spans)])

    async def search(self, request: web.Request) -> web.Response:
        try:
            query = query_from(request.query, time.time_ns() // NANOSECONDS_IN_A_MICROSECOND)
        except ValueError as refusal:
            return _error(400, str(refusal))
        found = (pair for pair in self._store.newest_first() if query.finds(pair[1]))
        return _answer([jaeger_trace(*pair) for pair in islice(found, query.limit)])

    async def services(self, _: web.Request) -> web.Response:
        return _answer(self._store.services())

    async def operation_names(self, request: web.Request) -> web.Response:
        operations = self._store.operations(request.match_info["service"])
        return _answer(sorted({name for name, _ in operations}))

    async def operations(self, request: web.Request) -> web.Response:
        kind = request.query.get("spanKind")
        operations = self._store.operations(request.query.get("service", ""))
        return _answer([{"name": n, "spanKind": k} for n, k in operations if kind in (None, "", k)])


def _answer(data: list[Any]) -> web.Response:
    return web.json_response({"data": data, "total": len(data), "limit": 0, "offset": 0, "errors": None})


def _error(status: int, message: str) -> web.Response:
    errors = [{"code": status, "msg": message}]
    body = {"data": None, "total": 0, "limit": 0, "offset": 0, "errors": errors}
    return web.json_response(body, status=status)


async def _alive(_: web.Request) -> web.Response:
    return web.json_response({"status": "ok"})


def main() -> None:
    logging.basicConfig(level=logging.INFO)
    host = os.environ.get("IHALA_TRACES_HOST", "127.0.0.1")
    port = int(os.environ.get("IHALA_TRACES_PORT", "4318"))
    app = TraceServer(TraceStore()).app()
    web.run_app(app, host=host, port=port, print=None, access_log=None, shutdown_timeout=2.0)


if __name__ == "__main__":
    main()
