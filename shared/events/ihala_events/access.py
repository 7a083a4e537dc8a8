"""``access.credential.v1``: who may call, compacted by ``credential_id``. The key itself is never sent, its hash is."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from ihala_events.vocabulary import DeskId, PartyId
from ihala_events.wire import Instant, Payload


class Role(StrEnum):
    DESK = "desk"
    AGENCY = "agency"
    INTEGRATOR = "integrator"
    OPERATOR = "operator"
    PROTECTION = "protection"
    ADMIN = "admin"
    SERVICE = "service"


class CredentialChanged(Payload):
    """``sha256``: of the whole key, in hex. ``party_id``: agency, integrator. ``desk_ids``: desk, integrator."""

    credential_id: str
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    role: Role
    party_id: PartyId | None = None
    desk_ids: list[DeskId] = []
    label: str = ""
    created_at: Instant
    revoked_at: Instant | None = None
