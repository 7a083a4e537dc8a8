"""An agency will be closed: nothing that must be answered in that time is sent to it."""

from collections.abc import Sequence

from ihala_events.directory import Closure, PartnerRecord


def announce_closures(record: PartnerRecord, closures: Sequence[Closure]) -> PartnerRecord:
    """closures: all of them, past and coming; those of the record are replaced."""
    ordered = sorted(closures, key=lambda each: (each.first_day, each.last_day))
    return record.model_copy(update={"closures": ordered})
