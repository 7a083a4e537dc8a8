"""A broker of a test's own that serves over TLS whoever proves a password, and lets it do what it was given.

Beside it the private listener, whose users may do anything.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.protocol.admin import CreateAclsRequest
from ihala_local import kafka
from ihala_local.embedded import new_node, running
from ihala_local.ports import LOOPBACK, new_port
from ihala_runtime.kafka_address import KafkaAddress
from support.tls import self_signed

Right = tuple[str, str, str]
"""(topics or groups, what its names begin with, what may be done with them)"""

USER = "ihala"
# The protocol's numbers.
RESOURCES = {"topics": 2, "groups": 3}
OPERATIONS = {"Read": 3, "Write": 4, "Create": 5, "Describe": 8}
PREFIXED, ALLOWED = 4, 3
SCRAM = "org.apache.kafka.common.security.scram.ScramLoginModule required;"


@asynccontextmanager
async def secured_kafka(folder: Path, rights: Iterable[Right]) -> AsyncIterator[KafkaAddress]:
    """Where it may be reached, with the certificate and the password for it."""
    certificate, key = self_signed(folder, LOOPBACK)
    (folder / "kafka.pem").write_bytes(key.read_bytes() + certificate.read_bytes())
    password_file = folder / "password"
    password_file.write_text(secrets.token_hex(16) + "\n")
    node = await asyncio.to_thread(new_node, folder / "kafka", new_port(set()))
    port = new_port({node.port, node.controller_port})
    await asyncio.to_thread(_prepare, node, port, password_file.read_text().strip())
    async with running(kafka.program(node), folder, lambda: kafka.answers(KafkaAddress(node.bootstrap))):
        await _allow(node.bootstrap, rights)
        yield KafkaAddress(f"{LOOPBACK}:{port}", certificate, USER, password_file)


def _prepare(node: kafka.KafkaNode, port: int, password: str) -> None:
    usual = kafka.settings(node)
    own = {
        "listeners": f"{usual['listeners']},SECURED://{LOOPBACK}:{port}",
        "advertised.listeners": f"{usual['advertised.listeners']},SECURED://{LOOPBACK}:{port}",
        "listener.security.protocol.map": f"{usual['listener.security.protocol.map']},SECURED:SASL_SSL",
        "listener.name.secured.sasl.enabled.mechanisms": "SCRAM-SHA-512",
        "listener.name.secured.scram-sha-512.sasl.jaas.config": SCRAM,
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "allow.everyone.if.no.acl.found": "false",
        "super.users": "User:ANONYMOUS",
        "listener.name.secured.ssl.keystore.type": "PEM",
        "listener.name.secured.ssl.keystore.location": str(node.folder.parent / "kafka.pem"),
    }
    kafka.prepare(node, own, "--add-scram", f"SCRAM-SHA-512=[name={USER},password={password}]")


async def _allow(bootstrap: str, rights: Iterable[Right]) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        for resource, prefix, operation in rights:
            wanted = RESOURCES[resource], prefix, PREFIXED, f"User:{USER}", "*", OPERATIONS[operation], ALLOWED
            answer = await admin._send_request(CreateAclsRequest(*wanted))
            assert [code for code, _ in answer.creation_responses] == [0], answer
    finally:
        await admin.close()
