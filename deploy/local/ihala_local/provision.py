"""The sample data of a first start: keys for each role, the sample agencies, and where their webhooks go.

Rule: over HTTP only, as anybody else would, and each key is kept as soon as it is made, so that a start that
broke half way is taken up where it stopped.
"""

import asyncio
import hashlib
import secrets
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import aiohttp

from ihala_local.api import TIMEOUT, Api
from ihala_local.failures import LocalFailure
from ihala_local.stack import SANDBOX_PARTNER, Stack
from ihala_local.state import Secrets, State, read_json, write_private

DESKS = ("baom-agadir", "baom-inezgane", "baom-chtouka", "baom-taroudant", "baom-tiznit")
INTEGRATOR = "integrator-sample"
KNOWN_WITHIN_SECONDS = 30
POLL_SECONDS = 0.1


class NotProvisioned(LocalFailure):
    """The sample data could not be loaded."""


def write_first_admin(state: State, kept: Secrets) -> None:
    """Makes the first admin key and leaves its hash where the referral service looks for it at its start."""
    if kept.credentials.admin is None:
        kept.credentials.admin = f"ihala_{secrets.token_hex(8)}_{secrets.token_hex(32)}"
        state.keep_secrets(kept)
    key = kept.credentials.admin
    hashed = {"credential_id": key.split("_")[1], "sha256": hashlib.sha256(key.encode()).hexdigest()}
    write_private(state.first_admin_file, hashed)


def sample_partners() -> list[dict[str, Any]]:
    """The records of the sample directory, as the API takes them."""
    folder = files("ihala_referral") / "data" / "directory"
    contents = [file.read_text(encoding="utf-8") for file in folder.iterdir() if file.name.endswith(".toml")]
    return [partner for content in contents for partner in partners_in(content)]


def partners_in(content: str) -> list[dict[str, Any]]:
    """TOML with one [[partner]] for each agency; dates become text, as on the wire."""
    records: list[dict[str, Any]] = as_json(tomllib.loads(content)["partner"])
    return records


def as_json(value: Any) -> Any:
    match value:
        case dict():
            return {key: as_json(entry) for key, entry in value.items()}
        case list():
            return [as_json(entry) for entry in value]
        case bool() | int() | float() | str() | None:
            return value
        case _:
            return value.isoformat()


@dataclass(frozen=True, slots=True)
class Provisioning:
    """Loads the sample data into one running system."""

    stack: Stack
    kept: Secrets

    @property
    def is_complete(self) -> bool:
        return self.kept.directory_loaded and self.kept.webhooks_at == self.stack.url(SANDBOX_PARTNER)

    async def run(self) -> None:
        """The directory is loaded once; webhooks follow the sandbox partner when its port has changed."""
        async with aiohttp.ClientSession(timeout=TIMEOUT) as session:
            await self._known_everywhere(session, self._must(self.kept.credentials.admin))
            if not self.kept.directory_loaded:
                await self._load_sample(session)
            await self._register_webhooks(session, list(self.kept.credentials.partners))
        self.kept.directory_loaded = True
        self.kept.webhooks_at = self.stack.url(SANDBOX_PARTNER)
        self._keep()

    async def _load_sample(self, session: aiohttp.ClientSession) -> None:
        partners = sample_partners()
        await self._make_keys(self._admin(session), [partner["partner_id"] for partner in partners])
        await self._all_known(session)
        await self._load_directory(session, partners)

    def _admin(self, session: aiohttp.ClientSession) -> Api:
        return Api(session, self.stack.service_url("referral"), self._must(self.kept.credentials.admin))

    async def _make_keys(self, admin: Api, partner_ids: list[str]) -> None:
        keys = self.kept.credentials
        desks = list(DESKS)
        keys.desk = keys.desk or await self._new_key(admin, "desk", None, desks)
        keys.operator = keys.operator or await self._new_key(admin, "operator", None, [])
        keys.protection = keys.protection or await self._new_key(admin, "protection", None, [])
        keys.integrator = keys.integrator or await self._new_key(admin, "integrator", INTEGRATOR, desks)
        for partner_id in partner_ids:
            if partner_id not in keys.partners:
                keys.partners[partner_id] = await self._new_key(admin, "agency", partner_id, [])
                self._keep()

    async def _new_key(self, admin: Api, role: str, party_id: str | None, desk_ids: list[str]) -> str:
        label = f"sample {party_id or role}"
        body = {"role": role, "party_id": party_id, "desk_ids": desk_ids, "label": label}
        made: Mapping[str, str] = await admin.post("/v1/credentials", body)
        return made["key"]

    def _keep(self) -> None:
        self.stack.state.keep_secrets(self.kept)

    async def _all_known(self, session: aiohttp.ClientSession) -> None:
        self._keep()
        keys = self.kept.credentials
        for key in (keys.desk, keys.operator, keys.protection, keys.integrator, *keys.partners.values()):
            await self._known_everywhere(session, self._must(key))

    async def _known_everywhere(self, session: aiohttp.ClientSession, key: str) -> None:
        """Every copy of every service learns of credentials by itself, from the topic."""
        urls = [self.stack.url(program.name) for program in self.stack.services()]
        waiting = (until_known(Api(session, url, key)) for url in urls)
        try:
            async with asyncio.timeout(KNOWN_WITHIN_SECONDS):
                await asyncio.gather(*waiting)
        except TimeoutError:
            raise NotProvisioned(f"a key was not known to every service after {KNOWN_WITHIN_SECONDS} s") from None

    async def _load_directory(self, session: aiohttp.ClientSession, partners: list[dict[str, Any]]) -> None:
        operator = Api(session, self.stack.service_url("referral"), self._must(self.kept.credentials.operator))
        for partner in partners:
            await operator.put(f"/v1/partners/{partner['partner_id']}", partner)

    async def _register_webhooks(self, session: aiohttp.ClientSession, partner_ids: list[str]) -> None:
        """A secret is told once only, so each is written down before the next call."""
        admin = Api(session, self.stack.service_url("notification"), self._must(self.kept.credentials.admin))
        known: dict[str, str] = read_json(self.stack.state.sandbox_secrets_file)
        for partner_id in partner_ids:
            url = f"{self.stack.url(SANDBOX_PARTNER)}/hook/{partner_id}"
            endpoint = await admin.put(f"/v1/endpoints/{partner_id}", {"url": url})
            if secret := endpoint.get("secret"):
                known[partner_id] = secret
                write_private(self.stack.state.sandbox_secrets_file, known)

    @staticmethod
    def _must(key: str | None) -> str:
        if key is None:
            raise NotProvisioned("a key is missing from the state's secrets.json")
        return key


async def until_known(api: Api) -> None:
    while not await api.knows_key():  # noqa: ASYNC110 (another process learns it)
        await asyncio.sleep(POLL_SECONDS)
