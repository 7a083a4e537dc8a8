"""An admin stops an agency: from now on it is asked and told nothing, and none of its keys opens anything.

What it holds goes to the next agency at once.  Resuming takes the mark away; revoked keys stay revoked.
"""

from datetime import datetime

from ihala_events.directory import PartnerRecord, Stop, StopReason
from ihala_events.vocabulary import PartnerType
from ihala_events.wire import Request


class StopPartner(Request):
    reason_code: StopReason


class CellNeverStops(Exception):
    """The coordination cell ends every chain: without it nobody could be referred."""


def stop_partner(record: PartnerRecord, reason: StopReason, at: datetime) -> PartnerRecord:
    """The first stop counts.  Raises CellNeverStops."""
    if record.type is PartnerType.COORD:
        raise CellNeverStops
    if record.stopped is not None:
        return record
    return record.model_copy(update={"stopped": Stop(reason_code=reason, since=at)})


def resume_partner(record: PartnerRecord) -> PartnerRecord:
    return record.model_copy(update={"stopped": None})
