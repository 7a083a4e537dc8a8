"""An agency publishes its free places: they change the next routing, never a referral already sent."""

from collections.abc import Mapping

from ihala_events.directory import PartnerRecord


class UnknownService(Exception):
    """A need that this agency does not serve.  need_code: which."""

    def __init__(self, need_code: str) -> None:
        super().__init__(f"this agency does not serve {need_code}")
        self.need_code = need_code


def publish_capacity(record: PartnerRecord, places: Mapping[str, int | None]) -> PartnerRecord:
    """The agency's record with the new numbers.  Raises UnknownService."""
    for need_code in sorted(places):
        if need_code not in record.need_codes:
            raise UnknownService(need_code)
    return record.model_copy(update={"capacity": {**record.capacity, **places}})
