"""The sample data of a first start: keys for each role, the sample agencies, and where their webhooks go.

Rule: over HTTP only, as anybody else would, and each key is kept as soon as it is made, so that a start that
broke half way is taken up where it stopped.
"""

import asyncio
import hashlib
import secrets
from collections.abc import Awaitable, Iterable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Protocol

import aiohttp

from ihala_local.access import known_at
from ihala_local.api import TIMEOUT, Api
from ihala_local.directory import partners_in
from ihala_local.failures import LocalFailure
from ihala_local.stack import SANDBOX_PARTNER
from ihala_local.state import Secrets, State, read_json, write_private, write_private_text

DESKS = ("baom-agadir", "baom-inezgane", "baom-chtouka", "baom-taroudant", "baom-tiznit")
INTEGRATOR = "integrator-sample"
CALLS_AT_ONCE = 6


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


def write_gateway_key(state: State, kept: Secrets) -> None:
    """Where notification looks for it whenever it tells a person something."""
    write_private_text(state.gateway_key_file, f"{kept.gateway}\n")


def sample_partners() -> list[dict[str, Any]]:
    """The records of the sample directory, as the API takes them."""
    folder = files("ihala_referral") / "data" / "directory"
    contents = [file.read_text(encoding="utf-8") for file in folder.iterdir() if file.name.endswith(".toml")]
    return [partner for content in contents for partner in partners_in(content)]


class System(Protocol):
    """A running system: where its keys are kept and its programs answer."""

    @property
    def state(self) -> State: ...

    def url(self, name: str) -> str: ...

    def service_url(self, service: str) -> str: ...

    def service_urls(self) -> list[str]: ...


@dataclass(frozen=True, slots=True)
class Provisioning:
    """Loads the sample data into one running system."""

    system: System
    kept: Secrets

    @property
    def is_complete(self) -> bool:
        loaded = self.kept.directory_loaded and self.kept.service is not None
        return loaded and self.kept.webhooks_at == self.system.url(SANDBOX_PARTNER)

    async def run(self) -> None:
        """The directory is loaded once; webhooks follow the sandbox partner when its port has changed."""
        async with aiohttp.ClientSession(timeout=TIMEOUT) as session:
            await self._all_known()
            if not self.kept.directory_loaded:
                await self._load_sample(session)
            await self._make_service_key(self._admin(session))
            await self._register_webhooks(session, list(self.kept.credentials.partners))
        self.kept.directory_loaded = True
        self.kept.webhooks_at = self.system.url(SANDBOX_PARTNER)
        self._keep()

    async def _load_sample(self, session: aiohttp.ClientSession) -> None:
        """An agency has a key once it is in the directory, and the operator who enters it has one before."""
        partners, admin = sample_partners(), self._admin(session)
        await self._make_keys(admin)
        await self._all_known()
        await self._load_directory(session, partners)
        await self._make_agency_keys(admin, [partner["partner_id"] for partner in partners])
        await self._all_known()

    def _admin(self, session: aiohttp.ClientSession) -> Api:
        return Api(session, self.system.service_url("referral"), self._must(self.kept.credentials.admin))

    async def _make_keys(self, admin: Api) -> None:
        keys = self.kept.credentials
        desks = list(DESKS)
        keys.desk = keys.desk or await self._new_key(admin, "desk", None, desks)
        keys.operator = keys.operator or await self._new_key(admin, "operator", None, [])
        keys.protection = keys.protection or await self._new_key(admin, "protection", None, [])
        keys.integrator = keys.integrator or await self._new_key(admin, "integrator", INTEGRATOR, desks)

    async def _make_service_key(self, admin: Api) -> None:
        """Known to intake before notification finds it."""
        self.kept.service = self.kept.service or await self._new_key(admin, "service", None, [])
        await self._all_known()
        write_private_text(self.system.state.service_key_file, f"{self.kept.service}\n")

    async def _make_agency_keys(self, admin: Api, partner_ids: list[str]) -> None:
        known = self.kept.credentials.partners
        await side_by_side(self._make_agency_key(admin, each) for each in partner_ids if each not in known)

    async def _make_agency_key(self, admin: Api, partner_id: str) -> None:
        self.kept.credentials.partners[partner_id] = await self._new_key(admin, "agency", partner_id, [])
        self._keep()

    async def _new_key(self, admin: Api, role: str, party_id: str | None, desk_ids: list[str]) -> str:
        label = f"sample {party_id or role}"
        body = {"role": role, "party_id": party_id, "desk_ids": desk_ids, "label": label}
        made: Mapping[str, str] = await admin.post("/v1/credentials", body)
        return made["key"]

    def _keep(self) -> None:
        self.system.state.keep_secrets(self.kept)

    async def _all_known(self) -> None:
        """In every copy of every service, so that whatever is called next knows who calls."""
        self._keep()
        keys = self.kept.credentials
        every = (keys.admin, keys.desk, keys.operator, keys.protection, keys.integrator, *keys.partners.values())
        every = (*every, self.kept.service)
        await known_at(self.system.service_urls(), [key for key in every if key is not None])

    async def _load_directory(self, session: aiohttp.ClientSession, partners: list[dict[str, Any]]) -> None:
        operator = Api(session, self.system.service_url("referral"), self._must(self.kept.credentials.operator))
        await side_by_side(operator.put(f"/v1/partners/{each['partner_id']}", each) for each in partners)

    async def _register_webhooks(self, session: aiohttp.ClientSession, partner_ids: list[str]) -> None:
        admin = Api(session, self.system.service_url("notification"), self._must(self.kept.credentials.admin))
        known: dict[str, str] = read_json(self.system.state.sandbox_secrets_file)
        await side_by_side(self._register_webhook(admin, each, known) for each in partner_ids)

    async def _register_webhook(self, admin: Api, partner_id: str, known: dict[str, str]) -> None:
        """A secret is told once only, so it is written down at once; one that we lost is replaced."""
        url = f"{self.system.url(SANDBOX_PARTNER)}/hook/{partner_id}"
        endpoint = await admin.put(f"/v1/endpoints/{partner_id}", {"url": url})
        if "secret" not in endpoint and partner_id not in known:
            endpoint = await admin.post(f"/v1/endpoints/{partner_id}/rotate-secret", {})
        if secret := endpoint.get("secret"):
            known[partner_id] = secret
            write_private(self.system.state.sandbox_secrets_file, known)

    @staticmethod
    def _must(key: str | None) -> str:
        if key is None:
            raise NotProvisioned("a key is missing from the state's secrets.json")
        return key


async def side_by_side(calls: Iterable[Awaitable[object]]) -> None:
    """Some at a time: the services share two cores with us."""
    places = asyncio.Semaphore(CALLS_AT_ONCE)

    async def one(call: Awaitable[object]) -> None:
        async with places:
            await call

    await asyncio.gather(*(one(call) for call in calls))
