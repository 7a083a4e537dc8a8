"""Where Kafka is, and with what a client proves who it is: every client of ours is made of this.

Rule: a password goes over TLS alone, to a server whose certificate names the host.
"""

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from faststream.security import BaseSecurity


@dataclass(frozen=True, slots=True)
class KafkaAddress:
    """bootstrap: ``host:port,host:port``.  ca_file: certificates (PEM) of who signed the brokers'; without it no TLS.

    user: proves itself with the password in ``password_file``, by SCRAM-SHA-512; without it nobody asks.
    """

    bootstrap: str
    ca_file: Path | None = None
    user: str | None = None
    password_file: Path | None = None

    def security(self) -> "BaseSecurity | None":
        """As the framework takes it; None for a listener that is private. Raises OSError for an unreadable file."""
        if self.ca_file is None:
            return None
        from faststream.security import BaseSecurity, SASLScram512  # slow to import: not for a command that needs none

        context = ssl.create_default_context(cafile=self.ca_file)
        if self.user is None or self.password_file is None:
            return BaseSecurity(context)
        return SASLScram512(self.user, self.password_file.read_text().strip(), context)

    def options(self) -> dict[str, Any]:
        """As the clients of aiokafka take it."""
        security = self.security()
        if security is None:
            return {"bootstrap_servers": self.bootstrap}
        from faststream.kafka.security import parse_security

        return {"bootstrap_servers": self.bootstrap, **parse_security(security)}
