"""An agency will be closed: nothing that must be answered in that time is sent to it."""

from collections.abc import Iterator, Sequence

from ihala_events.directory import Closure, PartnerRecord

from ihala_referral.domain.directory import unprintable


def closure_problems(closures: Sequence[Closure]) -> Iterator[tuple[str, str, str]]:
    """(pointer, code, message) for what no closure may say."""
    for index, closure in enumerate(closures):
        if closure.last_day < closure.first_day:
            yield f"/closures/{index}/last_day", "before-first-day", "must not be before first_day"
        if unprintable(closure.reason):
            yield f"/closures/{index}/reason", "control-character", "holds a control character"


def announce_closures(record: PartnerRecord, closures: Sequence[Closure]) -> PartnerRecord:
    """closures: all of them, past and coming; those of the record are replaced."""
    ordered = sorted(closures, key=lambda each: (each.first_day, each.last_day))
    return record.model_copy(update={"closures": ordered})
