"""`ihala directory import|export`: agencies as TOML, one [[partner]] for each, and pilot initiatives, one [[programme]]
for each, as the API takes them.

Rule: what `export` writes, `import` reads back to the same records.
"""

import json
import tomllib
from collections.abc import Mapping, Sequence
from typing import Any

from ihala_local.api import calling
from ihala_local.failures import LocalFailure

HEAD = "# The agencies of one Ihala system. Read back with: ihala directory import\n"


class NotADirectory(LocalFailure):
    """The file does not hold agencies."""


def partners_in(content: str) -> list[dict[str, Any]]:
    """TOML with one [[partner]] for each agency; dates become text, as on the wire."""
    return contents_of(content)[0]


def contents_of(content: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The agencies and, where there are some, the programmes."""
    try:
        tables = tomllib.loads(content)
        return as_json(tables["partner"]), as_json(tables.get("programme", []))
    except (tomllib.TOMLDecodeError, KeyError) as error:
        raise NotADirectory(f"TOML with one [[partner]] for each agency is expected: {error}") from None


def as_json(value: Any) -> Any:
    match value:
        case dict():
            return {key: as_json(entry) for key, entry in value.items()}
        case list():
            return [as_json(entry) for entry in value]
        case bool() | int() | float() | str():
            return value
        case _:
            return value.isoformat()


def as_toml(partners: list[dict[str, Any]], programmes: Sequence[Mapping[str, Any]] = ()) -> str:
    """What is null is left out: TOML has no null, and absent means the same."""
    tables = [("partner", each) for each in partners] + [("programme", each) for each in programmes]
    blocks = (f"[[{name}]]\n" + "".join(lines_of(each)) for name, each in tables)
    return HEAD + "".join("\n" + block for block in blocks)


def lines_of(partner: Mapping[str, Any]) -> list[str]:
    return [f"{key} = {value_of(value)}\n" for key, value in partner.items() if value is not None]


def value_of(value: Any) -> str:
    match value:
        case dict():
            pairs = (f"{json.dumps(key)} = {value_of(entry)}" for key, entry in value.items() if entry is not None)
            return f"{{ {', '.join(pairs)} }}"
        case list():
            return f"[{', '.join(value_of(entry) for entry in value)}]"
        case _:
            return json.dumps(value, ensure_ascii=False)  # text, numbers and booleans are written alike


def checked(partners: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The agencies, each behind the one above it. Raises NotADirectory for what no system could take whole.

    What a record alone may not say, the system refuses and names.
    """
    by_id: dict[str, dict[str, Any]] = {}
    for number, partner in enumerate(partners, start=1):
        partner_id = partner.get("partner_id")
        if not isinstance(partner_id, str):
            raise NotADirectory(f"agency number {number} has no partner_id")
        if partner_id in by_id:
            raise NotADirectory(f"{partner_id} stands twice in the file")
        by_id[partner_id] = partner
    cells = sorted(partner_id for partner_id, partner in by_id.items() if partner.get("type") == "PT-COORD")
    if len(cells) > 1:
        raise NotADirectory(f"there is exactly one coordination cell (PT-COORD), the file has {', '.join(cells)}")
    return parents_first(by_id)


def parents_first(by_id: Mapping[str, dict[str, Any]]) -> list[dict[str, Any]]:
    ordered: dict[str, dict[str, Any]] = {}
    for partner_id in by_id:
        chain: list[str] = []
        above: str | None = partner_id
        while above is not None and above in by_id and above not in ordered:
            if above in chain:
                raise NotADirectory(f"{partner_id} stands below itself: {' below '.join([*chain, above])}")
            chain.append(above)
            above = by_id[above].get("parent")
        ordered |= {each: by_id[each] for each in reversed(chain)}
    return list(ordered.values())


async def import_directory(
    endpoints: Mapping[str, Any], partners: list[dict[str, Any]], programmes: list[dict[str, Any]]
) -> list[str]:
    """Sends each record; one that is refused stops the rest and is named. What the directory lacks, as warnings."""
    ordered = checked(partners)
    async with calling(endpoints, "referral", endpoints["credentials"]["operator"]) as operator:
        for partner in ordered:
            await operator.put(f"/v1/partners/{partner['partner_id']}", partner)
        for programme in programmes:
            await operator.put(f"/v1/programmes/{programme.get('programme_id')}", programme)
        found: list[str] = (await operator.get("/v1/partners:lint"))["warnings"]
        return found


async def export(endpoints: Mapping[str, Any]) -> str:
    """As it is entered: what is counted, the places left, is no part of it."""
    async with calling(endpoints, "referral", endpoints["credentials"]["operator"]) as operator:
        programmes = await operator.every("/v1/programmes")
        entered = [{key: value for key, value in each.items() if key != "free"} for each in programmes]
        return as_toml(await operator.every("/v1/partners"), entered)
