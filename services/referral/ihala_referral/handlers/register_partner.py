"""An agency enters the directory, or its record is replaced."""

from collections.abc import Iterable, Mapping, Sequence

from ihala_events.directory import OpeningHours, PartnerRecord
from ihala_events.vocabulary import COMMUNES, PREFECTURES, PartnerType

from ihala_referral.domain.directory import EVERYWHERE, Directory, partner_of, unprintable
from ihala_referral.handlers.agree import agreement_problems, overlapping
from ihala_referral.handlers.announce_closures import closure_problems

MOST_PLACES = 100_000
MIDNIGHT = "24:00"

FieldProblem = tuple[str, str, str]


def record_problems(record: PartnerRecord) -> list[FieldProblem]:
    """(pointer, code, message) for what a well-formed record may not say."""
    return list(_problems(record))


def _problems(record: PartnerRecord) -> Iterable[FieldProblem]:
    for index, name in enumerate(record.communes):
        if name != EVERYWHERE and name not in PREFECTURES and name not in COMMUNES:
            yield f"/communes/{index}", "unknown-code", "is no commune, prefecture or *"
    if record.active_until is not None and record.active_until < record.active_from:
        yield "/active_until", "before-active-from", "must not be before active_from"
    for index, agreement in enumerate(record.agreements):
        yield from agreement_problems(agreement, f"/agreements/{index}")
        if overlapping(record.agreements[:index], agreement):
            yield f"/agreements/{index}", "overlapping-agreement", "overlaps another about the same purpose"
    yield from closure_problems(record.closures)
    yield from _hours_problems("/hours", record.hours)
    yield from _hours_problems("/ramadan_hours", record.ramadan_hours)
    yield from _text_problems(record)
    yield from _capacity_problems(record)


def _hours_problems(pointer: str, hours: Sequence[OpeningHours]) -> Iterable[FieldProblem]:
    """Times are zero-padded, so their texts compare; a night is two entries, until 24:00 and from 00:00."""
    for index, each in enumerate(hours):
        if each.closes <= each.opens or each.closes > MIDNIGHT:
            yield f"{pointer}/{index}/closes", "not-after-opens", "must lie after opens, at most at 24:00"
        if any(
            each.day == other.day and each.opens < other.closes and other.opens < each.closes for other in hours[:index]
        ):
            yield f"{pointer}/{index}", "overlapping-hours", "overlaps other hours of the day"


def _text_problems(record: PartnerRecord) -> Iterable[FieldProblem]:
    texts = {f"/names/{language}": name for language, name in record.names.model_dump().items()}
    for pointer, text in (texts | {"/transfer_ref": record.transfer_ref or ""}).items():
        if unprintable(text):
            yield pointer, "control-character", "holds a control character"


def _capacity_problems(record: PartnerRecord) -> Iterable[FieldProblem]:
    for need_code, places in sorted(record.capacity.items()):
        if need_code not in record.need_codes:
            yield f"/capacity/{need_code}", "not-served", "is not among need_codes"
        if (places or 0) > MOST_PLACES:
            yield f"/capacity/{need_code}", "out-of-range", "is too large"


def parent_problem(record: PartnerRecord, parents: Mapping[str, str | None]) -> FieldProblem | None:
    """parents: of every agency that is in the directory.  A parent exists, and nobody is above themselves."""
    above, seen = record.parent, {record.partner_id}
    while above is not None:
        if above in seen:
            return "/parent", "cycle", "stands below this agency itself"
        if above not in parents:
            return "/parent", "unknown-party", "is no agency of the directory"
        seen.add(above)
        above = parents[above]
    return None


def second_cell(record: PartnerRecord, directory: Directory) -> bool:
    """There is one coordination cell, and this record would be another."""
    if record.type is not PartnerType.COORD:
        return False
    return any(
        partner.type is PartnerType.COORD and partner.partner_id != partner_of(record).partner_id
        for partner in directory.partners.values()
    )
