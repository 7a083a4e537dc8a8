"""What the schema of an event refuses that another one allowed, place by place.

Rule: a keyword that is not known here is an error, so that no narrowing passes unseen.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Schema = Mapping[str, Any]
NO_RULE = {"$defs", "$id", "$schema", "default", "description", "title", "examples"}
LOWEST = {"minimum": float("-inf"), "minLength": 0, "minItems": 0, "minProperties": 0}
HIGHEST = ("maximum", "maxLength", "maxItems")
COMPARED = {*LOWEST, *HIGHEST, "additionalProperties", "anyOf", "const", "enum", "format", "items", "pattern"}
COMPARED |= {"properties", "propertyNames", "required", "type"}


class UnknownKeyword(Exception):
    """The comparison does not know what it means."""


@dataclass(frozen=True, slots=True)
class Change:
    """From one document to another.  passes_over: whoever reads by the second ignores fields that it does not know."""

    old: Schema
    new: Schema
    passes_over: bool = False

    def refused(self) -> list[str]:
        """A line for each thing that the first allows and the second does not; none when all of it is read."""
        return list(self._refused(self.old, self.new, ""))

    def _refused(self, old: Schema, new: Schema, at: str) -> Iterator[str]:
        old, new = resolved(old, self.old), resolved(new, self.new)
        if "anyOf" in old or "anyOf" in new:
            yield from self._branches(old.get("anyOf", [old]), new.get("anyOf", [new]), at)
            return
        yield from values_refused(old, new, at)
        yield from bounds_refused(old, new, at)
        yield from self._fields(old, new, at)
        if "items" in new:
            yield from self._refused(old.get("items", {}), new["items"], f"{at}[]")

    def _branches(self, old: list[Schema], new: list[Schema], at: str) -> Iterator[str]:
        """Each of the first must be read by one of the second; told by the one that comes nearest."""
        for branch in old:
            tried = [list(self._refused(branch, other, at)) for other in new]
            yield from min(tried, key=len)

    def _fields(self, old: Schema, new: Schema, at: str) -> Iterator[str]:
        known: Schema = new.get("properties", {})
        for name in sorted({*new.get("required", ())} - {*old.get("required", ())}):
            yield f"{at}/{name} is required"
        for name, field in old.get("properties", {}).items():
            if name in known:
                yield from self._refused(field, known[name], f"{at}/{name}")
            elif not self.passes_over:
                yield f"{at}/{name} is gone"
        for rule in ("additionalProperties", "propertyNames"):
            if isinstance(new.get(rule), Mapping):
                yield from self._refused(old.get(rule, {}), new[rule], f"{at}/*")


def resolved(schema: Schema, document: Schema) -> Schema:
    while "$ref" in schema:
        schema = document["$defs"][schema["$ref"].removeprefix("#/$defs/")]
    if unknown := {*schema} - NO_RULE - COMPARED:
        raise UnknownKeyword(sorted(unknown))
    return schema


def values_refused(old: Schema, new: Schema, at: str) -> Iterator[str]:
    """Codes, types, and what a text has to look like."""
    if (allowed := codes(new)) is not None:
        given = codes(old)
        lost = ["anything else"] if given is None else [code for code in given if code not in allowed]
        yield from (f"{at} refuses {code}" for code in lost)
        return
    if "type" in new and old.get("type") not in (new["type"], "integer" if new["type"] == "number" else new["type"]):
        yield f"{at} is of type {new['type']}, was {old.get('type')}"
        return
    for rule in ("format", "pattern"):
        if rule in new and old.get(rule) != new[rule] and codes(old) is None:
            yield f"{at} has the {rule} {new[rule]}"


def codes(schema: Schema) -> list[Any] | None:
    return [schema["const"]] if "const" in schema else schema.get("enum")


def bounds_refused(old: Schema, new: Schema, at: str) -> Iterator[str]:
    for rule, lowest in LOWEST.items():
        if new.get(rule, lowest) > old.get(rule, lowest):
            yield f"{at} has the {rule} {new[rule]}"
    for rule in HIGHEST:
        if new.get(rule, float("inf")) < old.get(rule, float("inf")):
            yield f"{at} has the {rule} {new[rule]}"
