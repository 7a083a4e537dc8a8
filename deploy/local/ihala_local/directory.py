"""`ihala directory import|export`: the agencies as TOML, one [[partner]] for each, as the API takes them.

Rule: what `export` writes, `import` reads back to the same records.
"""

import json
import tomllib
from collections.abc import Mapping
from typing import Any

from ihala_local.api import calling
from ihala_local.failures import LocalFailure

HEAD = "# The agencies of one Ihala system. Read back with: ihala directory import\n"


class NotADirectory(LocalFailure):
    """The file does not hold agencies."""


def partners_in(content: str) -> list[dict[str, Any]]:
    """TOML with one [[partner]] for each agency; dates become text, as on the wire."""
    try:
        records: list[dict[str, Any]] = as_json(tomllib.loads(content)["partner"])
    except (tomllib.TOMLDecodeError, KeyError) as error:
        raise NotADirectory(f"TOML with one [[partner]] for each agency is expected: {error}") from None
    return records


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


def as_toml(partners: list[dict[str, Any]]) -> str:
    """What is null is left out: TOML has no null, and absent means the same."""
    blocks = ("[[partner]]\n" + "".join(lines_of(partner)) for partner in partners)
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


async def import_partners(endpoints: Mapping[str, Any], partners: list[dict[str, Any]]) -> None:
    """Sends each record; one that is refused stops the rest and is named."""
    async with calling(endpoints, "referral", endpoints["credentials"]["operator"]) as operator:
        for partner in partners:
            await operator.put(f"/v1/partners/{partner['partner_id']}", partner)


async def export(endpoints: Mapping[str, Any]) -> str:
    async with calling(endpoints, "referral", endpoints["credentials"]["operator"]) as operator:
        return as_toml(await operator.every("/v1/partners"))
