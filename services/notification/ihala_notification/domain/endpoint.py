"""An agency's endpoint over days: enabled or disabled, and how it comes back.

Disabled: the agency says 410, or nothing got through for 5 days with failures at least 12 h apart (one bad
night, or two lonely failures, is not a dead system). A disabled endpoint is asked once a day with the oldest
message that waits; the first success enables it again.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from ihala_notification.domain.attempt import AttemptResult, Failure
from ihala_notification.domain.signing import SignatureKind, SigningKey

DISABLE_AFTER = timedelta(days=5)
FAILURES_APART = timedelta(hours=12)
PROBE_EVERY = timedelta(days=1)


class EndpointState(StrEnum):
    ENABLED = "enabled"
    DISABLED = "disabled"


class EndpointChange(StrEnum):
    """What the others must hear."""

    DISABLED = "endpoint-disabled"
    RECOVERED = "endpoint-recovered"


@dataclass(frozen=True, slots=True)
class EndpointHealth:
    """failing_since, last_failure_at: of the run of failures since the last success; None outside a run."""

    state: EndpointState = EndpointState.ENABLED
    failing_since: datetime | None = None
    last_failure_at: datetime | None = None
    probe_at: datetime | None = None
    reason: str | None = None

    def after(self, result: AttemptResult, at: datetime) -> tuple["EndpointHealth", EndpointChange | None]:
        return self.after_success() if result.is_success else self._after_failure(result, at)

    def after_success(self) -> tuple["EndpointHealth", EndpointChange | None]:
        recovered = self.state is EndpointState.DISABLED
        return EndpointHealth(), EndpointChange.RECOVERED if recovered else None

    def _after_failure(self, result: AttemptResult, at: datetime) -> tuple["EndpointHealth", EndpointChange | None]:
        failing = replace(self, failing_since=self.failing_since or at, last_failure_at=at)
        if self.state is EndpointState.DISABLED:
            return replace(failing, probe_at=at + PROBE_EVERY), None
        if result.is_gone:
            return failing._disabled(Failure.GONE.value, at), EndpointChange.DISABLED
        if self._failed_for_days(at):
            return failing._disabled("failing-for-5-days", at), EndpointChange.DISABLED
        return failing, None

    def _failed_for_days(self, at: datetime) -> bool:
        if self.failing_since is None or self.last_failure_at is None:
            return False
        apart = self.last_failure_at - self.failing_since >= FAILURES_APART
        return apart and at - self.failing_since >= DISABLE_AFTER

    def _disabled(self, reason: str, at: datetime) -> "EndpointHealth":
        return replace(self, state=EndpointState.DISABLED, reason=reason, probe_at=at + PROBE_EVERY)

    def may_be_tried(self, at: datetime) -> bool:
        return self.state is EndpointState.ENABLED or self.probe_at is None or self.probe_at <= at


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where an agency listens. keys: all that sign, the newest first. stopped: an admin stopped the agency."""

    partner_id: str
    url: str
    signature: SignatureKind
    keys: tuple[SigningKey, ...]
    health: EndpointHealth
    stopped: bool = False

    @property
    def is_well(self) -> bool:
        return self.health.state is EndpointState.ENABLED and self.health.failing_since is None
