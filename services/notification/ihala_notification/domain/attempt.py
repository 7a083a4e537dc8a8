"""How one try to reach an agency ended. What counts as success is decided here and nowhere else."""

from dataclasses import dataclass
from enum import StrEnum

GONE = 410
TOO_MANY_REQUESTS = 429


class Failure(StrEnum):
    """Why a try failed; published and stored, so values are never renamed."""

    STATUS = "status"  # the agency answered, but not 2xx
    GONE = "gone"  # 410: the agency wants no more
    TIMEOUT = "timeout"
    CONNECTION = "connection"
    TLS = "tls"
    PROTOCOL = "protocol"  # what came back is not HTTP
    ADDRESS_REFUSED = "address-refused"  # not one of the addresses that may be reached
    NO_ENDPOINT = "no-endpoint"  # the agency has given no address yet
    ENDPOINT_DISABLED = "endpoint-disabled"
    ENDPOINT_PAUSED = "endpoint-paused"  # the breaker is open


@dataclass(frozen=True, slots=True)
class AttemptResult:
    """answer: at most the first kilobyte, for operators alone.  retry_after_seconds: as the agency asked."""

    status: int | None
    failure: Failure | None
    latency_ms: int
    answer: bytes = b""
    retry_after_seconds: float | None = None

    @property
    def is_success(self) -> bool:
        return self.failure is None

    @property
    def is_gone(self) -> bool:
        return self.failure is Failure.GONE

    @property
    def is_overload(self) -> bool:
        return self.failure is Failure.TIMEOUT or self.status == TOO_MANY_REQUESTS

    @property
    def reason(self) -> str | None:
        """`timeout`, `status-503`, …; None for a success."""
        if self.failure is Failure.STATUS:
            return f"status-{self.status}"
        return None if self.failure is None else self.failure.value


def failure_of_status(status: int) -> Failure | None:
    """Only 2xx is a success; a redirect is not followed and is a failure."""
    if 200 <= status < 300:
        return None
    return Failure.GONE if status == GONE else Failure.STATUS
