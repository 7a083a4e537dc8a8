"""`status` adds up what copies of a service say, and believes the broker about the lag."""

from ihala_local.status import Figures, sum_by_group
from prometheus_client.samples import Sample


def lag(group: str, partition: int, records: float) -> Sample:
    labels = {"group": group, "topic": "intake.case.v1", "partition": str(partition)}
    return Sample("ihala_consumer_lag_records", labels, records)


def parked(state: str, records: float) -> Sample:
    return Sample("ihala_parked_records", {"consumer": "referral.router", "state": state}, records)


def test_the_lag_of_a_group_is_the_sum_of_its_partitions() -> None:
    figures = Figures()

    figures.add("referral", [lag("referral.router", 0, 3), lag("referral.router", 1, 4)])

    assert sum_by_group(figures.lag) == {"referral.router": 7}


def test_a_partition_that_two_copies_tell_of_counts_once() -> None:
    figures = Figures()

    figures.add("referral", [lag("referral.router", 0, 3)])
    figures.add("referral", [lag("referral.router", 0, 2)])

    assert sum_by_group(figures.lag) == {"referral.router": 3}


def test_the_oldest_event_of_a_service_is_the_oldest_of_its_copies() -> None:
    figures = Figures()

    figures.add("referral", [Sample("ihala_outbox_oldest_seconds", {}, 1.5)])
    figures.add("referral", [Sample("ihala_outbox_oldest_seconds", {}, 0.0)])

    assert figures.outbox_oldest_seconds == {"referral": 1.5}


def test_copies_that_see_the_same_parked_records_count_them_once() -> None:
    figures = Figures()

    figures.add("referral", [parked("waiting", 2), parked("dead", 1)])
    figures.add("referral", [parked("waiting", 2), parked("dead", 1)])

    assert figures.parked == {("referral.router", "waiting"): 2, ("referral.router", "dead"): 1}
