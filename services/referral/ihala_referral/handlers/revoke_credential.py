"""The admin revokes a key: no service accepts it any more within seconds."""

from datetime import datetime

from ihala_events.access import CredentialChanged


def revoke_credential(record: CredentialChanged, at: datetime) -> CredentialChanged | None:
    """None when it is revoked already."""
    return None if record.revoked_at is not None else record.model_copy(update={"revoked_at": at})
