"""The admin makes a key for a party or a person; the key is shown once and only its hash is kept."""

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated

from ihala_events.access import CredentialChanged, Role
from ihala_events.vocabulary import DeskId, PartyId
from ihala_events.wire import Request, Text
from pydantic import Field, StringConstraints

PARTIES = (Role.AGENCY, Role.INTEGRATOR)
DESKS = (Role.DESK, Role.INTEGRATOR)


class NewCredential(Request):
    """party_id: for agency and integrator.  desk_ids: for desk and integrator."""

    role: Role
    party_id: PartyId | None = None
    desk_ids: Annotated[list[DeskId], Field(max_length=200)] = []
    label: Annotated[Text, StringConstraints(max_length=120)] | None = None


def credential_problems(wanted: NewCredential) -> Iterable[tuple[str, str, str]]:
    """(pointer, code, message) for what does not fit the role."""
    if (wanted.party_id is None) == (wanted.role in PARTIES):
        yield "/party_id", "does-not-fit-role", "agency and integrator have one, no other role has"
    if bool(wanted.desk_ids) != (wanted.role in DESKS):
        yield "/desk_ids", "does-not-fit-role", "desk and integrator have at least one, no other role has"


def issue_credential(wanted: NewCredential, credential_id: str, sha256: str, at: datetime) -> CredentialChanged:
    return CredentialChanged(
        credential_id=credential_id,
        sha256=sha256,
        role=wanted.role,
        party_id=wanted.party_id,
        desk_ids=list(dict.fromkeys(wanted.desk_ids)),
        label=wanted.label or "",
        created_at=at,
    )
