"""Reads the texts to persons and the words they may not hold; both are data beside the service."""

import tomllib
from importlib.resources import files
from typing import Any

from ihala_events.vocabulary import NEEDS, PersonMessage

from ihala_notification.domain.wording import LANGUAGES, Banned, Messages, WordingRefused, lint

WORDING = files("ihala_notification") / "data" / "wording"
HARMLESS = "harmless"


def load_messages() -> Messages:
    """Raises WordingRefused, which stops the start."""
    messages = {PersonMessage(kind): dict(texts) for kind, texts in _read("messages.toml").items()}
    if problems := lint(messages, load_banned()):
        raise WordingRefused(problems)
    return messages


def load_banned() -> Banned:
    lists = _read("banned.toml")
    harmless = lists.pop(HARMLESS)
    listed = [word for texts in lists.values() for language in LANGUAGES for word in texts[language].split()]
    return Banned.of(listed, NEEDS.values(), harmless.values())


def _read(name: str) -> dict[str, Any]:
    return tomllib.loads((WORDING / name).read_text(encoding="utf-8"))
