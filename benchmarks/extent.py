"""How long a run takes and how much it measures."""

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.ladder import LONG, QUICK, Length


@dataclass(frozen=True, slots=True)
class Extent:
    """turns: how often each system of the ladder has its turn.  backlog, sizes, agencies: what is measured one after
    the other.  zipf: how unevenly agencies are asked, 0 is evenly.  least_samples: of a p99 beside slow agencies.
    burst_seconds: of far more intakes than can be accepted.  soak_minutes: 0 leaves it out.
    """

    length: Length
    turns: int
    backlog: Sequence[int]
    sizes: Sequence[int]
    agencies: Sequence[int]
    least_samples: int = 0
    zipf: float = 1.0
    rate: float = 50.0
    burst_seconds: float = 3.0
    soak_minutes: float = 0


FULL = Extent(LONG, 2, (10_000, 50_000), (1_000, 10_000, 100_000, 1_000_000), (10, 100, 1_000), 3_000, soak_minutes=30)
SHORT = Extent(QUICK, 1, (1_000,), (1_000, 10_000), (10, 100))
