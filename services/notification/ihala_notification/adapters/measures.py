"""Every metric of this service with its kind and meaning. No label holds an agency's address."""

from prometheus_client import Counter, Histogram

DELIVERIES = Counter(
    "ihala_webhook_tries", "Tries to deliver a webhook, by the state they left the delivery in.", ["state"]
)
WEBHOOK_SECONDS = Histogram(
    "ihala_webhook_seconds",
    "Time of one try, from resolving the name to the agency's answer.",
    buckets=(0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1, 5, 15),
)
PERSON_MESSAGES = Counter("ihala_person_messages", "Looks at a message to a person, by what came of it.", ["state"])
