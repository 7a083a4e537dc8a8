"""What the people of a fault run sent and were told, and when what they were told could not be written down.

Rule: it tells what was seen from outside and asks the system nothing; times are seconds of the wall clock.
"""

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

NO_ANSWER = 599  # nobody knows what became of it
RECORDED_SECONDS = 1.0
"""An answer is written down within 30 ms and a transaction; this much is enough on a busy machine."""
ON_THE_WIRE_SECONDS = 1.0  # sent before its sender died, and received after
DATABASE_BACK_SECONDS = 15.0  # PostgreSQL is started again, and everybody's connections are


@dataclass
class HandedIn:
    """One intake as its sender saw it.  answer: None while there is none, or refused (4xx)."""

    key: str
    body: dict[str, Any]
    statuses: list[int] = field(default_factory=list)
    answer: dict[str, Any] | None = None
    answer_again: dict[str, Any] | None = None


@dataclass
class Webhook:
    """answered: None while the agency has not answered."""

    webhook_id: str
    partner_id: str
    type: str
    referral_id: str
    attempt_no: int
    body_hash: str
    came: float
    answered: float | None = None


@dataclass(frozen=True)
class TextMessage:
    """A request that the gateway took for a message to a person; it answers at once."""

    message_id: str
    text: str
    came: float

    @property
    def answered(self) -> float:
        return self.came


class Arrival(Protocol):
    @property
    def came(self) -> float: ...

    @property
    def answered(self) -> float | None: ...


@dataclass
class Unrecorded:
    """When notification lost what it had just been answered.

    deaths: of a notification (or it was frozen and another copy took over).  database_away: spans without PostgreSQL:
    who lives on writes down later what it sent to agencies; a message to a person is asked for again.
    """

    deaths: list[float] = field(default_factory=list)
    database_away: list[tuple[float, float]] = field(default_factory=list)

    def webhook_may_repeat(self, hook: Arrival) -> int:
        """How often, for what happened while it was under way or not yet written down."""
        return sum(_touches(hook, self._since(death), death) for death in self.deaths)

    def text_may_repeat(self, message: Arrival) -> int:
        away = sum(_touches(message, since, until) for since, until in self.database_away)
        return self.webhook_may_repeat(message) + away

    def _since(self, death: float) -> float:
        """What was answered while the database was away waited to be written down when its sender died."""
        return min([death, *(since for since, until in self.database_away if since <= death <= until)])


def _touches(arrival: Arrival, since: float, until: float) -> bool:
    still_open = arrival.answered is None or arrival.answered > since - RECORDED_SECONDS
    return arrival.came < until + ON_THE_WIRE_SECONDS and still_open


@dataclass
class History:
    """In the order in which it arrived.

    moves: last status by referral, attempt and move.  withdrawn, rerouted: by case reference, of the consent's
    withdrawal and of the desk's asking another agency.  unadvised: calls answered 503 without a Retry-After.
    """

    handed_in: list[HandedIn] = field(default_factory=list)
    refused: list[HandedIn] = field(default_factory=list)
    webhooks: list[Webhook] = field(default_factory=list)
    texts: list[TextMessage] = field(default_factory=list)
    moves: dict[tuple[str, int, str], int] = field(default_factory=dict)
    withdrawn: dict[str, int] = field(default_factory=dict)
    rerouted: dict[str, int] = field(default_factory=dict)
    unadvised: list[str] = field(default_factory=list)
    unrecorded: Unrecorded = field(default_factory=Unrecorded)
    fault_over_at: float | None = None

    def died(self, name: str, at: float) -> None:
        """A process was killed; what heals begins now."""
        if name.startswith("notification"):
            self.unrecorded.deaths.append(at)
        if name == "postgres":
            self.unrecorded.database_away.append((at, at + DATABASE_BACK_SECONDS))
        self.fault_over_at = at

    @contextmanager
    def fault(self, *, of_database: bool = False) -> Iterator[None]:
        """What heals begins at the end of the block."""
        since = time.time()
        try:
            yield
        finally:
            self.fault_over_at = time.time()
            if of_database:
                self.unrecorded.database_away.append((since, self.fault_over_at + DATABASE_BACK_SECONDS))

    @property
    def repeats(self) -> int:
        """Webhooks that had come before."""
        return len(self.webhooks) - len({hook.webhook_id for hook in self.webhooks})

    @property
    def accepted(self) -> list[dict[str, Any]]:
        return [each.answer for each in self.handed_in if each.answer is not None]

    def first_of_each(self) -> list[Webhook]:
        """Without repetitions, in the order in which each came first."""
        first: dict[str, Webhook] = {}
        for hook in self.webhooks:
            first.setdefault(hook.webhook_id, hook)
        return list(first.values())

    def excessive_webhooks(self) -> dict[str, int]:
        """By id, how much oftener it came than what was lost explains."""
        hooks = [(hook.webhook_id, self.unrecorded.webhook_may_repeat(hook)) for hook in self.webhooks]
        return excess(hooks)

    def excessive_texts(self) -> dict[str, int]:
        return excess([(each.message_id, self.unrecorded.text_may_repeat(each)) for each in self.texts])


def excess(arrivals: Sequence[tuple[str, int]]) -> dict[str, int]:
    """arrivals: an id and how often this arrival may be repeated."""
    came = Counter(each for each, _ in arrivals)
    allowed: Counter[str] = Counter()
    for each, repeats in arrivals:
        allowed[each] += repeats
    return {each: over for each, count in came.items() if (over := count - 1 - allowed[each]) > 0}


def requests_of(texts: Iterable[Any]) -> list[TextMessage]:
    """As the sandbox gateway lists them: each with the instants of its requests."""
    return [
        TextMessage(each["reference"], each["text"], datetime.fromisoformat(at).timestamp())
        for each in texts
        for at in each["requested_at"]
    ]
