"""Every metric with its kind and meaning. Labels hold codes and ids of parts, never of persons; no need codes."""

from prometheus_client import Counter, Gauge, Histogram

OUTBOX_OLDEST_SECONDS = Gauge(
    "ihala_outbox_oldest_seconds", "Age of the oldest event that Kafka has not acknowledged; 0 when none."
)
OUTBOX_ROWS = Gauge("ihala_outbox_rows", "Events that Kafka has not acknowledged.")
OUTBOX_REFUSED_ROWS = Gauge("ihala_outbox_refused_rows", "Events that Kafka refused for themselves, tried again.")
OUTBOX_PUBLISHED = Counter("ihala_outbox_published", "Events acknowledged by Kafka.")
OUTBOX_PASS_SECONDS = Histogram(
    "ihala_outbox_pass_seconds",
    "Time to publish and delete one pass of the outbox.",
    buckets=(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 2),
)
OUTBOX_LEADER = Gauge("ihala_outbox_leader", "1 in the copy whose relay publishes.")

CONSUMED = Counter("ihala_consumed_records", "Records handled, by result.", ["group", "result"])
BATCH_SECONDS = Histogram(
    "ihala_consume_batch_seconds",
    "Time from taking a batch to its commit.",
    ["group"],
    buckets=(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 2, 10),
)
CONSUMER_LAG = Gauge("ihala_consumer_lag_records", "Records not handled yet.", ["group", "topic", "partition"])
PARKED = Gauge("ihala_parked_records", "Records set aside.", ["consumer", "state"])

UNRECONCILED = Gauge("ihala_unreconciled", "Events that another service has not answered in time.", ["expectation"])
RECONCILED = Counter(
    "ihala_reconciled", "Events published again because nobody answered; should stay 0.", ["expectation"]
)

ACCOUNTED = Gauge(
    "ihala_accounted",
    "What came within the last five minutes, by where it is now; the places sum up to all.",
    ["what", "place"],
)

HTTP_SECONDS = Histogram(
    "ihala_http_request_seconds",
    "Time to answer a request.",
    ["method", "route", "status"],
    buckets=(0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2),
)
