"""Why the intake service refuses.

Refusal
├── IntakeRefused        the intake cannot be taken; each wrong field is named
├── NotTheirDesk         the caller does not work for this desk
└── KeyReused            the idempotency key was used with another body
"""

from collections.abc import Sequence

from ihala_events.partner import FieldRefusal


class Refusal(Exception):
    """``slug`` is stable; the text never holds a received value."""

    slug = "refused"


class IntakeRefused(Refusal):
    slug = "invalid-input"

    def __init__(self, errors: Sequence[FieldRefusal], slug: str | None = None) -> None:
        super().__init__("the intake cannot be taken")
        self.errors = errors
        self.slug = slug or self.slug


class NotTheirDesk(Refusal):
    slug = "not-your-desk"


class KeyReused(Refusal):
    slug = "idempotency-key-reused"
