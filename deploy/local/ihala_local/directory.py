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


async def import_directory(
    endpoints: Mapping[str, Any], partners: list[dict[str, Any]], programmes: list[dict[str, Any]]
) -> None:
    """Sends each record; one that is refused stops the rest and is named."""
    async with calling(endpoints, "referral", endpoints["credentials"]["operator"]) as operator:
        for partner in partners:
            await operator.put(f"/v1/partners/{partner['partner_id']}", partner)
        for programme in programmes:
            await operator.put(f"/v1/programmes/{programme['programme_id']}", programme)


async def export(endpoints: Mapping[str, Any]) -> str:
    """As it is entered: what is counted, the places left, is no part of it."""
    async with calling(endpoints, "referral", endpoints["credentials"]["operator"]) as operator:
        programmes = await operator.every("/v1/programmes")
        entered = [{key: value for key, value in each.items() if key != "free"} for each in programmes]
        return as_toml(await operator.every("/v1/partners"), entered)
