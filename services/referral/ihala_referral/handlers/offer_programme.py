"""The operator enters a pilot initiative: its places are offered before the row's chain to whom it is for."""

from collections.abc import Iterator, Mapping

from ihala_events.directory import PartnerRecord, ProgrammeRecord
from ihala_events.vocabulary import COMMUNES, PREFECTURES, RESTRICTED_NEEDS, PartnerType

from ihala_referral.domain.directory import EVERYWHERE, unprintable


def programme_problems(
    record: ProgrammeRecord, partners: Mapping[str, PartnerRecord]
) -> Iterator[tuple[str, str, str]]:
    """(pointer, code, message) for what no programme may say."""
    agency = partners.get(record.partner_id)
    if agency is None or agency.type is PartnerType.COORD:
        yield "/partner_id", "unknown-party", "is no agency of the directory that could offer it"
    for index, code in enumerate(record.need_codes):
        if code in RESTRICTED_NEEDS:
            yield (
                f"/need_codes/{index}",
                "restricted-need",
                "everybody reads initiatives, not who has this need",
            )
    for index, name in enumerate(record.communes):
        if name != EVERYWHERE and name not in PREFECTURES and name not in COMMUNES:
            yield f"/communes/{index}", "unknown-code", "is no commune, prefecture or *"
    if record.until is not None and record.until < record.since:
        yield "/until", "before-since", "must not be before since"
    for language, name in record.names.model_dump().items():
        if unprintable(name):
            yield f"/names/{language}", "control-character", "holds a control character"
