"""Reads the data files that come with the service: calendar, rules, sentences, sample directory, zone data.

Zone data come from the `tzdata` package alone: the system's tables may predate Morocco's change of 2026-09-20 and
`zoneinfo` would prefer them.
"""

import hashlib
import json
import tomllib
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from io import BytesIO
from zoneinfo import ZoneInfo

from ihala_events.directory import PartnerRecord

from ihala_referral.domain.calendar import Calendar, CalendarError, parse_calendar, stale_zone_readings
from ihala_referral.domain.rules import RuleSet, parse_rule_set
from ihala_referral.domain.sentences import Sentences, parse_sentences

DATA = files("ihala_referral") / "data"


def fresh_zone(key: str) -> ZoneInfo:
    """The zone from the packaged tables, whatever the system's search path says."""
    return ZoneInfo.from_file(BytesIO(_zone_table(key)), key=key)


def _zone_table(key: str) -> bytes:
    return (files("tzdata") / "zoneinfo").joinpath(*key.split("/")).read_bytes()


def load_calendar() -> Calendar:
    """The territory's calendar.  Raises CalendarError when the zone data are stale: deadlines would be an hour off."""
    data = parse_calendar(_calendar_text())
    zone = fresh_zone(data.zone_key)
    stale = stale_zone_readings(zone)
    if stale:
        raise CalendarError(f"the zone data are stale: {'; '.join(stale)}")
    return Calendar(data, zone)


def calendar_sha256() -> str:
    """Of everything that came with this release and says which instants are open."""
    text = _calendar_text()
    return sha256_of(text, _zone_table(parse_calendar(text).zone_key))


def sha256_of(calendar: str, zone_table: bytes) -> str:
    return hashlib.sha256(calendar.encode() + zone_table).hexdigest()


def _calendar_text() -> str:
    return _only_file("calendar").read_text(encoding="utf-8")


def rule_texts() -> dict[str, str]:
    """Every shipped rule file by name."""
    return {
        entry.name: entry.read_text(encoding="utf-8")
        for entry in sorted((DATA / "rules").iterdir(), key=lambda entry: entry.name)
        if entry.name.endswith(".toml")
    }


@dataclass(frozen=True, slots=True)
class ShippedRules:
    rules: RuleSet
    text: str


def load_rules() -> list[ShippedRules]:
    """Every rule set that came with the service.  Raises RuleSetError."""
    return [ShippedRules(parse_rule_set(text), text) for text in rule_texts().values()]


def load_sentences() -> Sentences:
    """What explanations say.  Raises SentencesError."""
    return parse_sentences(_only_file("explanations").read_text(encoding="utf-8"))


def load_sample_directory() -> list[PartnerRecord]:
    return parse_directory((DATA / "directory" / "sample.toml").read_text(encoding="utf-8"))


def parse_directory(text: str) -> list[PartnerRecord]:
    """A directory file; every record as PUT /v1/partners/{id} takes it."""
    rows = tomllib.loads(text)["partner"]
    return [PartnerRecord.model_validate_json(json.dumps(row)) for row in rows]


def _only_file(folder: str) -> Traversable:
    return next(entry for entry in (DATA / folder).iterdir() if entry.name.endswith(".toml"))
