"""`ihala rules lint|list|compare|activate`: rule files checked here, rule sets of the running system.

Rule: `lint` needs no running system; every error and warning stands on a line that begins with its file.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import aiohttp
from ihala_referral.adapters.shipped_data import load_sample_directory, rule_texts
from ihala_referral.domain.directory import Directory, directory_warnings, partner_of
from ihala_referral.domain.errors import RuleSetError
from ihala_referral.domain.rules import RuleSet, parse_rule_set
from rich.table import Table

from ihala_local.api import calling
from ihala_local.failures import LocalFailure
from ihala_local.journeys import minute, plain_table

COMPARE_TIMEOUT = aiohttp.ClientTimeout(total=600)


class RulesUnreadable(LocalFailure):
    """The file is not there, or holds no rules."""


@dataclass(frozen=True, slots=True)
class Linted:
    """What was found in one file; rules: None when it cannot be used."""

    name: str
    rules: RuleSet | None
    errors: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    def lines(self) -> Iterator[str]:
        yield from (f"{self.name}: error: {problem}" for problem in self.errors)
        yield from (f"{self.name}: warning: {warning}" for warning in self.warnings)
        if self.rules is not None:
            rows = len(self.rules.rows) + len(self.rules.take_overs)
            yield f"{self.name}: {self.rules.version}, {rows} rows, {len(self.warnings)} warnings"


def lint(files: Sequence[Path]) -> list[Linted]:
    """These files, or those that come with the service; each also against the sample directory."""
    texts = {str(file): text_of(file) for file in files} or rule_texts()
    directory = Directory.of(partner_of(record) for record in load_sample_directory())
    return [lint_text(name, text, directory) for name, text in texts.items()]


def lint_text(name: str, text: str, directory: Directory) -> Linted:
    try:
        rules = parse_rule_set(text)
    except RuleSetError as error:
        return Linted(name, None, error.problems)
    day = max(rules.valid_from, first_day(directory))
    return Linted(name, rules, (), (*rules.warnings, *directory_warnings(directory, rules, day)))


def first_day(directory: Directory) -> date:
    """When every agency is active: a rule file may be older than the directory."""
    return max(partner.active[0] for partner in directory.partners.values())


def text_of(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except OSError as error:
        raise RulesUnreadable(f"{file}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise RulesUnreadable(f"{file}: not text in UTF-8") from None


async def versions(endpoints: Mapping[str, Any]) -> list[dict[str, Any]]:
    async with calling(endpoints, "referral", endpoints["credentials"]["operator"]) as operator:
        return await operator.every("/v1/rules")


async def activate(endpoints: Mapping[str, Any], version: str) -> dict[str, Any]:
    async with calling(endpoints, "referral", endpoints["credentials"]["operator"]) as operator:
        answer: dict[str, Any] = await operator.post(f"/v1/rules/{version}/activate", None)
    return answer


@dataclass(frozen=True, slots=True)
class Named:
    """A rule set of the command line.  text: of a file that has to be loaded first."""

    version: str
    text: str | None = None


def named(word: str) -> Named:
    """A version, or a file.  Raises RulesUnreadable with every error of the file."""
    if not Path(word).is_file():
        return Named(word)
    text = text_of(Path(word))
    try:
        return Named(parse_rule_set(text).version, text)
    except RuleSetError as error:
        raise RulesUnreadable("\n".join(f"{word}: error: {problem}" for problem in error.problems)) from None


async def compare(endpoints: Mapping[str, Any], old: Named, new: Named) -> dict[str, Any]:
    key = endpoints["credentials"]["operator"]
    async with calling(endpoints, "referral", key, COMPARE_TIMEOUT) as operator:
        for each in (old, new):
            if each.text is not None:
                await operator.put_text(f"/v1/rules/{each.version}", each.text)
        answer: dict[str, Any] = await operator.post("/v1/rules/compare", {"old": old.version, "new": new.version})
    return answer


def change_table(answer: Mapping[str, Any]) -> Table:
    table = plain_table("need", "change", "referrals")
    for each in answer["by"]:
        table.add_row(each["need_code"], each["change"], str(each["count"]))
    return table


def example_table(answer: Mapping[str, Any]) -> Table:
    table = plain_table("referral", "need", f"with {answer['old']}", f"with {answer['new']}")
    for each in answer["examples"]:
        table.add_row(each["referral_id"] or each["case_ref"], each["need_code"], side(each["old"]), side(each["new"]))
    return table


def side(referral: Mapping[str, Any] | None) -> str:
    if referral is None:
        return "none"
    told = f"{referral['row']} {referral['urgency']} {referral['partner_id'] or 'nobody'}"
    return f"{told}\n{referral['hold_reason'] or referral['state']}, due {minute(referral['ack_due'])}"


def as_table(found: Sequence[Mapping[str, Any]]) -> Table:
    table = plain_table("version", "valid from", "state", "activated UTC", "by", "sha256")
    for each in found:
        table.add_row(
            each["version"],
            each["valid_from"],
            each["state"],
            minute(each["activated_at"]),
            each["by"] or "",
            each["sha256"][:12],
        )
    return table
