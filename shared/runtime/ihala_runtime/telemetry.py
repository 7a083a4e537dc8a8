"""Traces: one journey from the desk's request to the agency's webhook and back, in one trace.

Span attributes are an allow-list of ids, codes and counts (P10): a name that is not listed is refused. Nothing
of a body, a parameter or a query string is ever recorded.
"""

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar, Token

from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import (
    INVALID_SPAN,
    Link,
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
)

ALLOWED_ATTRIBUTES = frozenset(
    {
        "http.request.method",
        "http.route",
        "http.response.status_code",
        "messaging.system",
        "messaging.destination.name",
        "messaging.consumer.group.name",
        "messaging.batch.message_count",
        "messaging.message.id",
        "ihala.event.type",
        "ihala.referral.id",
        "ihala.case.id",
        "ihala.partner.id",
        "ihala.delivery.id",
        "ihala.rule.id",
        "ihala.attempt",
        "error.type",
    }
)

AttributeValue = str | int | float | bool

# Each record and each span asks: one match costs a tenth of taking the text apart.
_SPAN_ID = "[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}"
_TRACEPARENT = re.compile(f"{_SPAN_ID}-[0-9a-f]{{2}}")
_LEFT_OUT = re.compile(f"{_SPAN_ID}-[0-9a-f][02468ace]")

_journey: ContextVar[str | None] = ContextVar("journey", default=None)
# Of a journey that is not sampled: there is no span, and its traceparent goes on as it came.
_hop: ContextVar[str | None] = ContextVar("hop", default=None)
_tracer = trace.get_tracer("ihala")


def set_up(service_name: str) -> TracerProvider:
    """Trace this process; export by OTLP/HTTP where OTEL_EXPORTER_OTLP_ENDPOINT names a collector.

    OTEL_TRACES_SAMPLER and its _ARG say which journeys are recorded; by default all.
    """
    provider = TracerProvider(resource=Resource.create({"service.name": service_name}))
    if os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT"):
        # a tenth of the start, and 3 MB, that a service without a collector does not need
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(), schedule_delay_millis=500))
    trace.set_tracer_provider(provider)
    return provider


def span(
    name: str,
    kind: SpanKind = SpanKind.INTERNAL,
    *,
    parent: str | None = None,
    links: Sequence[str] = (),
    **attributes: AttributeValue,
) -> AbstractContextManager[Span]:
    """A span around a block. Attribute names are written with ``__`` for ``.``: ``http__route="/v1/intakes"``.

    parent: a ``traceparent`` from a message or a request, instead of the span at hand.  links: the same, linked.
    An exception marks the span with its type; its text is not recorded.
    A journey that is not sampled costs next to nothing here: that is decided where it began, for all of it.
    """
    hop = parent or current_traceparent()
    if is_left_out(hop):
        return _AtHand(hop, _journey.get())
    return _opened(name, kind, parent, links, _journey.get(), attributes)


class _AtHand(AbstractContextManager[Span]):
    """All there is to a span that is not recorded: its hop, if it is none that is, and where the journey began."""

    def __init__(self, hop: str | None, began: str | None) -> None:
        self._hop, self._began = hop, began

    def __enter__(self) -> Span:
        self._tokens: tuple[Token[str | None], Token[str | None]] = _hop.set(self._hop), _journey.set(self._began)
        return INVALID_SPAN

    def __exit__(self, *_error: object) -> None:
        hop, journey = self._tokens
        _hop.reset(hop)
        _journey.reset(journey)


def _opened(
    name: str,
    kind: SpanKind,
    parent: str | None,
    links: Sequence[str],
    began: str | None,
    attributes: dict[str, AttributeValue],
) -> AbstractContextManager[Span]:
    """A span from now on, unless a journey begins here that is not sampled."""
    context = None if parent is None else trace.set_span_in_context(NonRecordingSpan(_context_of(parent)))
    opened = _tracer.start_span(name, context, kind, _allowed(attributes), [Link(_context_of(link)) for link in links])
    return _recorded(opened, began) if opened.is_recording() else _AtHand(_traceparent(opened), began)


class Detour(Exception):
    """Leaves a span without having failed: the same is done again, in another way."""


@contextmanager
def _recorded(opened: Span, began: str | None) -> Iterator[Span]:
    silent = {"record_exception": False, "set_status_on_exception": False}
    with _AtHand(None, began), trace.use_span(opened, end_on_exit=True, **silent):
        try:
            yield opened
        except Detour:
            raise
        except Exception as error:
            mark_failed(opened, type(error).__name__)
            raise


def is_left_out(traceparent: str | None) -> bool:
    """Of a journey that is not sampled."""
    return _LEFT_OUT.fullmatch(traceparent or "") is not None


def mark_failed(opened: Span, error_type: str) -> None:
    opened.set_attribute("error.type", error_type)
    opened.set_status(Status(StatusCode.ERROR))


def annotate(**attributes: AttributeValue) -> None:
    """Add allowed attributes to the span at hand."""
    if _hop.get() is not None:
        return
    for name, value in _allowed(attributes).items():
        trace.get_current_span().set_attribute(name, value)


def _allowed(attributes: dict[str, AttributeValue]) -> dict[str, AttributeValue]:
    named = {name.replace("__", "."): value for name, value in attributes.items()}
    if not named.keys() <= ALLOWED_ATTRIBUTES:
        raise ValueError(f"span attributes not on the allow-list: {sorted(named.keys() - ALLOWED_ATTRIBUTES)}")
    return named


def current_traceparent() -> str | None:
    """The span at hand as a W3C ``traceparent``; None outside a trace."""
    return _hop.get() or _traceparent(trace.get_current_span())


def _traceparent(of: Span) -> str | None:
    context = of.get_span_context()
    if not context.is_valid:
        return None
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


def current_journey() -> str | None:
    """Where the journey at hand began, as a ``traceparent``."""
    return _journey.get()


def trace_id_of(traceparent: str | None) -> str | None:
    """The trace id in 32 hex digits."""
    return traceparent[3:35] if traceparent and is_traceparent(traceparent) else None


@contextmanager
def journey(traceparent: str | None) -> Iterator[None]:
    """Events recorded in this block belong to the journey that began there."""
    token = _journey.set(traceparent)
    try:
        yield
    finally:
        _journey.reset(token)


def continued(
    name: str, kind: SpanKind, *, began: str | None, hop: str | None = None, **attributes: AttributeValue
) -> AbstractContextManager[Span]:
    """A span in the trace of the journey that began at ``began``, whoever made the hop.

    A hop of the same trace is the parent; one of another trace (a stranger's request, a timer) is linked.
    """
    hop = hop or current_traceparent()
    same = began is None or trace_id_of(hop) == trace_id_of(began)
    parent = hop if same else began
    if is_left_out(parent):
        return _AtHand(parent, began or hop)
    return _opened(name, kind, parent, () if same or hop is None else (hop,), began or hop, attributes)


def is_traceparent(text: str | None) -> bool:
    return _TRACEPARENT.fullmatch(text or "") is not None


def _context_of(traceparent: str) -> SpanContext:
    if not is_traceparent(traceparent):
        return trace.INVALID_SPAN_CONTEXT
    _, trace_id, span_id, flags = traceparent.split("-")
    return SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=TraceFlags(int(flags, 16)))
