"""Verifies the audit trail page by page, and anchors its end in the database of keys, which has another owner."""

from dataclasses import dataclass

from ihala_runtime.postgres import Database

from ihala_intake.domain.audit_chain import BEGINNING, AuditRow, Break, Link, complete, verified

PAGE_ROWS = 1_000
"""About 10 ms of hashing: other requests are served between pages."""


@dataclass(frozen=True, slots=True)
class AuditCheck:
    database: Database
    keys_database: Database

    async def verify(self) -> Link | Break:
        """The end of a chain that holds, or its first break. Rows added meanwhile are verified too."""
        anchors = await self._anchors()
        end = BEGINNING
        while rows := await self._page(end.row_id):
            result = verified(rows, end, anchors)
            if isinstance(result, Break):
                return result
            end = result
        return complete(end, anchors) or end

    async def anchor(self) -> None:
        """Keep the end of the chain elsewhere, one row a day: what is cut off or rewritten later is found."""
        async with self.database.connection() as connection:
            last = await connection.fetchrow("SELECT id, hash FROM audit ORDER BY id DESC LIMIT 1")
        if last is None:
            return
        async with self.keys_database.connection() as connection:
            await connection.execute(
                "INSERT INTO audit_anchor (day, row_id, hash) VALUES (current_date, $1, $2)"
                " ON CONFLICT (day) DO UPDATE SET row_id = EXCLUDED.row_id, hash = EXCLUDED.hash"
                " WHERE audit_anchor.row_id < EXCLUDED.row_id",
                last["id"],
                last["hash"],
            )

    async def _anchors(self) -> dict[int, bytes]:
        async with self.keys_database.connection() as connection:
            rows = await connection.fetch("SELECT row_id, hash FROM audit_anchor")
        return {row["row_id"]: row["hash"] for row in rows}

    async def _page(self, after: int) -> list[AuditRow]:
        async with self.database.connection() as connection:
            rows = await connection.fetch(
                "SELECT id, at, actor, action, case_id, referral_id, previous, hash FROM audit"
                " WHERE id > $1 ORDER BY id LIMIT $2",
                after,
                PAGE_ROWS,
            )
        return [AuditRow(**row) for row in rows]
