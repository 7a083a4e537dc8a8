"""Every topic: its name, partitions, key and retention. A topic is made from here, never by a first write."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

DAY_MS = 86_400_000
# Case data stay on the broker at most 7 days: 6 d of retention and segments of 1 d.
_WEEK = MappingProxyType({"retention.ms": str(6 * DAY_MS), "segment.ms": str(DAY_MS)})
_COMPACTED = MappingProxyType({"cleanup.policy": "compact", "segment.ms": str(DAY_MS)})
# A party's topic is small and there are many: little index space each.
_PARTY = MappingProxyType({**_WEEK, "segment.index.bytes": "65536"})


@dataclass(frozen=True, slots=True)
class Topic:
    """``key``: what the record key holds."""

    name: str
    key: str
    partitions: int = 8
    config: Mapping[str, str] = field(default_factory=lambda: _WEEK, hash=False)
    description: str = ""


INTAKE_CASE = Topic("intake.case.v1", "case_id", description="Cases as routing may know them, consents, erasures.")
REFERRAL_LIFECYCLE = Topic("referral.lifecycle.v1", "referral_id", description="What happened to each referral.")
NOTIFICATION_DELIVERY = Topic(
    "notification.delivery.v1",
    "referral_id; partner_id for endpoint-*",
    description="Receipts of deliveries.",
)
DIRECTORY_PARTNER = Topic(
    "directory.partner.v1", "partner_id", config=_COMPACTED, description="The agencies, whole record each."
)
ACCESS_CREDENTIAL = Topic(
    "access.credential.v1", "credential_id", config=_COMPACTED, description="Who may call, as hashes."
)
INTAKE_ERASURE = Topic(
    "intake.erasure.v1",
    "case_id",
    config=_COMPACTED,
    description="The ledger of erasures that a restore re-applies.",
)
OPS_PARKED = Topic("ops.parked.v1", "consumer", description="Notices of parked records: ids and reasons.")

FIXED_TOPICS = (
    INTAKE_CASE,
    REFERRAL_LIFECYCLE,
    NOTIFICATION_DELIVERY,
    DIRECTORY_PARTNER,
    ACCESS_CREDENTIAL,
    INTAKE_ERASURE,
    OPS_PARKED,
)

PARTY_IN_PATTERN = r"^party\.[a-z0-9-]+\.in\.v1$"


def party_in(party_id: str) -> Topic:
    """What the party claims: only it may write here."""
    return Topic(f"party.{party_id}.in.v1", "the sender's", 1, _PARTY, "Claims of one party.")


def party_out(party_id: str) -> Topic:
    """The copies and answers made for the party."""
    return Topic(f"party.{party_id}.out.v1", "referral_id or the request's ce_id", 1, _PARTY, "Told to one party.")


def party_of(topic: str) -> str | None:
    """The party whose own topic this is; None for any other topic."""
    parts = topic.split(".")
    return parts[1] if len(parts) == 4 and parts[0] == "party" else None
