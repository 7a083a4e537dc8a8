"""What a larger intake costs: 1 kB, and 10 kB with as many agencies named in the consent as that takes.

Rule: the larger one is an intake that the API takes, of one need and one referral like the smaller.
"""

import json
from pathlib import Path
from typing import Any

from benchmarks.agencies import asked_agencies
from benchmarks.extent import Extent
from benchmarks.growth import cpu_ms
from benchmarks.intakes import TEMPLATE
from benchmarks.ladder import one_rung
from benchmarks.report import Report, table
from benchmarks.systems import ihala

OWN_BYTES = 200  # what the generator adds: name, telephone, commune, instant
AGENCIES_OF_A_NEED = 50  # the most that a consent may name for one need
OTHER_NEEDS = (
    "HEA-CHR", "HEA-MED", "HEA-COV", "HEA-MAT", "HEA-CHI", "HEA-SRH", "HEA-HOS", "SOC-CAS", "SOC-FOO", "SOC-NFI",
    "SOC-EMP", "SOC-LEG", "SOC-CIV", "EDU-ENR", "EDU-LNG",
)  # fmt: skip
WHY_NOT_MORE = (
    "None of 100 kB can come: a body has at most 64 KiB, and a note 280 characters, an intake ten needs, a consent "
    "twenty entries of fifty agencies."
)


def intake_of(size: int) -> dict[str, Any]:
    """Of about so many bytes as sent: a long note, then a consent that names more and more agencies."""
    intake = TEMPLATE | {"needs": [TEMPLATE["needs"][0] | {"note": "comes in the morning " * 13}]}
    named = [each.partner_id for each in asked_agencies(AGENCIES_OF_A_NEED)]
    (own,) = TEMPLATE["consent"]["scope"]
    for code in OTHER_NEEDS:
        missing = size - OWN_BYTES - len(json.dumps(intake))
        ids = named[: max(0, missing // len(f'"{named[0]}", '))]
        if not ids:
            break
        scope = [*intake["consent"].get("scope", [own]), {"need_code": code, "partner_ids": ids}]
        intake = intake | {"consent": intake["consent"] | {"scope": scope}}
    return intake


async def payload_part(report: Report, extent: Extent, folder: Path) -> None:
    rows = []
    async with ihala(folder / "system") as system:
        for size in (1_000, 10_000):
            intake = intake_of(size)
            rung = await one_rung(system, extent.rate, extent.length, folder / str(size), intake=intake)
            report.note(f"intakes of {size} bytes", rung.result)
            times = [f"{rung.result.ms('due_to_told', percentile):.0f}" for percentile in ("p50", "p99")]
            rows.append([f"{size / 1000:g} kB", f"{cpu_ms(rung):.2f}", *times, rung.result.void])
    names = ["an intake of", "CPU ms, services and PostgreSQL", "p50 ms", "p99 ms", "void"]
    report.add(f"Payload, at {extent.rate:g}/s", table(names, rows), WHY_NOT_MORE)
