"""References within a document of OpenAPI or AsyncAPI."""

from typing import Any


def references_of(node: Any) -> list[str]:
    """Every `$ref` below."""
    if isinstance(node, dict):
        own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
        return own + [found for value in node.values() for found in references_of(value)]
    return [found for value in node for found in references_of(value)] if isinstance(node, list) else []


def resolved(document: Any, reference: str) -> Any:
    """KeyError when it leads nowhere."""
    here = document
    for part in reference.removeprefix("#/").split("/"):
        here = here[part]
    return here
