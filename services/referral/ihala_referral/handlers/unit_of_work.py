"""What a use case works with: one transaction over referrals, cases, the directory and the free places.

Whatever was recorded is stored with its events when the transaction ends, or not at all.
"""

from collections.abc import Sequence
from typing import Protocol
from uuid import UUID

from ihala_events.intake import RoutingProfile

from ihala_referral.domain.attempt import CaseFile, Happenings, Scene
from ihala_referral.domain.case import Consent
from ihala_referral.domain.referral import Referral
from ihala_referral.domain.routing import World


class UnitOfWork(Protocol):
    @property
    def world(self) -> World:
        """Rules, directory, calendar and free places, the same for the whole transaction."""
        ...

    @property
    def scene(self) -> Scene:
        """The world at the present moment."""
        ...

    def case(self, case_id: UUID) -> CaseFile | None: ...

    async def join_household(self, profile: RoutingProfile) -> None:
        """Link the case with the others that it names; from now on `scene` knows where they are."""
        ...

    def add_case(self, profile: RoutingProfile) -> CaseFile: ...

    def replace_consent(self, case_id: UUID, consent: Consent) -> None: ...

    def forget_profile(self, case_id: UUID) -> None:
        """Keep no longer what routing read of the case."""
        ...

    def correct_languages(
        self, case_id: UUID, languages: Sequence[str] | None, interpreter_needed: bool | None
    ) -> None:
        """None: as before."""
        ...

    def erase_case(self, case_id: UUID) -> None: ...

    def referral(self, referral_id: UUID) -> Referral | None:
        """A referral that this transaction has locked; None for an unknown one."""
        ...

    def referrals_of(self, case_id: UUID) -> Sequence[Referral]: ...

    def loaded(self) -> Sequence[Referral]:
        """Every referral that this transaction has locked."""
        ...

    def record(self, referral: Referral, happened: Happenings) -> None:
        """Store the referral as it is now, with what happened."""
        ...
