"""A deployer's gateway for SMS or WhatsApp: `{to, text, reference}` as JSON to its address, with a bearer.

`reference` is the message's id: a gateway that has it already need not send again.  Its answer is not kept.
"""

from dataclasses import dataclass
from pathlib import Path

from ihala_runtime.logs import logger

from ihala_notification.adapters.key_files import bearer
from ihala_notification.adapters.webhook_client import WebhookClient
from ihala_notification.domain.attempt import AttemptResult, Failure

_log = logger(__name__)


@dataclass(frozen=True, slots=True)
class HttpGateway:
    """Reached by the webhooks' client, so within the same rules about addresses."""

    client: WebhookClient
    url: str
    key_file: Path

    async def send(self, body: bytes) -> AttemptResult:
        """Never raises for what the network, the gateway or the key's file does."""
        try:
            headers = bearer(self.key_file)
        except OSError:
            _log.error("a gateway's key cannot be read", action="person.gateway")
            return AttemptResult(status=None, failure=Failure.CONNECTION, latency_ms=0)
        result = await self.client.post(self.url, headers, body)
        if not result.is_success:
            _log.warning("a gateway did not take a message", action="person.gateway", reason=result.reason)
        return result
