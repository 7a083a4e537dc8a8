"""From the words of the command line and the environment to what `up` is asked for."""

import os
from collections.abc import Mapping, Sequence

from ihala_local.failures import LocalFailure
from ihala_local.given_kafka import given_kafka
from ihala_local.stack import SERVICES, Options
from ihala_local.state import State
from ihala_local.test_clock import parse_instant
from ihala_local.up import Orders

MOST_COPIES = 8  # topics have eight partitions: a ninth copy would have nothing to read


class OptionRefused(LocalFailure):
    """The command line asks for something that cannot be."""


def orders_from(state: State, copies: Sequence[str], test_clock: str | None, *, ephemeral: bool) -> Orders:
    if ephemeral and state.has_lived:
        raise OptionRefused(f"{state.folder} keeps an earlier system: --ephemeral would remove it")
    return Orders(
        state=state,
        options=Options(
            copies=parse_copies(copies),
            kafka=given_kafka(),
            postgres_dsn=os.environ.get("IHALA_POSTGRES_DSN"),
        ),
        start_of_clock=parse_instant(test_clock) if test_clock else None,
        ephemeral=ephemeral,
    )


def parse_copies(words: Sequence[str]) -> Mapping[str, int]:
    """`referral=2`, `intake=2,referral=2`."""
    pairs = [pair.partition("=") for word in words for pair in word.split(",")]
    for service, _, number in pairs:
        if service not in SERVICES or not number.isdigit() or not 1 <= int(number) <= MOST_COPIES:
            raise OptionRefused(f"--copies takes {', '.join(SERVICES)} with a number from 1 to {MOST_COPIES}")
    return {service: int(number) for service, _, number in pairs}
