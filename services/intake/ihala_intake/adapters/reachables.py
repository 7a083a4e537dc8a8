"""Cases whose person may perhaps be told something: not erased, and with a consent that holds for a need at least."""

from dataclasses import dataclass

from ihala_events.vocabulary import ConsentBasis
from ihala_runtime.postgres import Database

from ihala_intake.handlers.read_contact import Reachable

_FIND = """
SELECT case_id, sealed, basis, lang AS language,
    ARRAY(SELECT need->>'need_code' FROM jsonb_array_elements(needs) AS need
          UNION SELECT need_code FROM addressee WHERE addressee.case_id = case_file.case_id) AS need_codes
FROM case_file JOIN consent USING (case_id)
WHERE case_ref = $1 AND erased_at IS NULL AND replaced_at IS NULL AND withdrawn_at IS NULL
    AND EXISTS (SELECT FROM jsonb_array_elements(needs) AS need WHERE NOT need->>'need_code' = ANY(withdrawn_needs))
"""


@dataclass(frozen=True, slots=True)
class PostgresReachables:
    database: Database

    async def find(self, case_ref: str) -> Reachable | None:
        async with self.database.connection() as connection:
            row = await connection.fetchrow(_FIND, case_ref)
        return None if row is None else Reachable(**{**row, "basis": ConsentBasis(row["basis"])})
