"""Which agency is asked next, how it is asked and how its turn ends; the moves share it.

No agency is asked that a test of the choice refuses, and a place that was taken is given back.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from ihala_events import catalogue
from ihala_events.catalogue import EventType
from ihala_events.vocabulary import AttemptState, HoldReason, Outcome, PartnerType, PersonMessage, ReferralState

from ihala_referral.domain.attempt import Alert, Attempt, Happening, Happenings, Scene
from ihala_referral.domain.choice import Choice, Gap, Why, choose, failures_of
from ihala_referral.domain.deadlines import FROM_RECEIPT, attempt_ack_due
from ihala_referral.domain.directory import Link
from ihala_referral.domain.errors import AttemptEnded, PartnerNotPossible, TransitionRefused
from ihala_referral.domain.explanation import explained_chain
from ihala_referral.domain.household import together_first
from ihala_referral.domain.referral.record import ReferralRecord
from ihala_referral.domain.routing import FLAGS_OF_AGENCY, flags_of_agency
from ihala_referral.domain.transitions import Move


class Asking(ReferralRecord):
    __slots__ = ()

    def _ask_next(self, actor: str, scene: Scene, *, left: str | None = None, reason: str | None = None) -> Happenings:
        """The next untried agency of the chain, tested anew.  left: the agency it is taken from."""
        choice = self._choose(scene)
        self._explain(choice, scene)
        if choice.chosen is None:
            return self._hold_for_consent(reason, scene)
        self._set_flags(choice.chosen, scene)
        gap = self._gap(choice, scene)
        return gap + self._send(choice.chosen, actor, scene, waitlisted=choice.waitlisted, left=left, reason=reason)

    def _choose(self, scene: Scene) -> Choice:
        tried = {attempt.partner_id for attempt in self.attempts if attempt.was_tried}
        left = tuple(link for link in self.links if link.partner_id not in tried or link is self.links[-1])
        untried = together_first(left, self._agencies_of_others(scene))
        days = (scene.calendar.local_date(scene.now), scene.calendar.local_date(self._due(scene)))
        ask = self.mandate.ask(self.case.consent, self.urgency, days, scene.directory)
        return choose(untried, ask, scene.directory, scene.places)

    def _explain(self, choice: Choice, scene: Scene) -> None:
        chain = explained_chain(choice.candidates, self._agencies_of_others(scene))
        self.explanation = self.explanation | {"partner_chain": chain}

    def _possible(self, move: Move, partner_id: str, scene: Scene) -> Link:
        """The agency that someone names; consent, agreement and duty still decide.  Raises PartnerNotPossible."""
        partner = scene.directory.partners.get(partner_id)
        link = next((link for link in self.links if link.partner_id == partner_id), Link(partner_id, self.need_code))
        today = scene.calendar.local_date(scene.now)
        if partner is None or not partner.is_active(today) or not partner.serves(link.serves):
            raise PartnerNotPossible(move, self.state, "not_in_directory")
        if self.holder is not None and self.holder.partner_id == partner_id:
            raise PartnerNotPossible(move, self.state, "already_asked")
        ask = self.mandate.ask(self.case.consent, self.urgency, (today, today), scene.directory)
        failed = [why for why in failures_of(link, partner, ask, scene.places) if why not in (Why.FULL, Why.CLOSED)]
        if failed:
            raise PartnerNotPossible(move, self.state, failed[0])
        return link

    def _hold_for_consent(self, reason: str | None, scene: Scene) -> Happenings:
        self.state, self.hold_reason = ReferralState.PROPOSED, HoldReason.CONSENT
        self.alerts -= {Alert.ACK_DUE}
        self.due_from = self._counts_from(scene.now)
        self.ack_due = self._due(scene)
        return [self._event(catalogue.CONSENT_NEEDED, scene.now, reason=reason)]

    def _gap(self, choice: Choice, scene: Scene) -> Happenings:
        gap = Gap.OUT_OF_AREA if self.mandate.redirect and choice.gap else choice.gap
        return [] if gap is None else [self._event(catalogue.GAP_RECORDED, scene.now, reason=gap)]

    def _agencies_of_others(self, scene: Scene) -> frozenset[str]:
        """Who has the same need for another member of the household."""
        return scene.households.agencies(self.case.case_id).get(self.need_code, frozenset())

    def _set_flags(self, link: Link, scene: Scene) -> None:
        """What the desk should see of the agency that has it now."""
        flags = flags_of_agency(
            link.partner_id, frozenset(self.case.languages), self._agencies_of_others(scene), scene.directory
        )
        self.flags = (*(flag for flag in self.flags if flag not in FLAGS_OF_AGENCY), *flags)

    def _send(
        self,
        link: Link,
        actor: str,
        scene: Scene,
        *,
        waitlisted: bool = False,
        left: str | None = None,
        reason: str | None = None,
    ) -> Happenings:
        """Ask an agency.  left: the agency it is taken from.  waitlisted: it is full and keeps a list."""
        attempt = self._open_attempt(link, scene)
        happened = []
        if left is not None:
            happened.append(self._event(catalogue.REROUTED, scene.now, actor, reason=reason, from_partner_id=left))
        sent = self._event(catalogue.SENT, scene.now, actor, tell=self._told_when_sent())
        attempt.sent_sequence = sent.sequence
        happened.append(sent)
        if waitlisted:
            self.state, self.waitlisted_at = ReferralState.WAITLISTED, scene.now
            happened.append(self._event(catalogue.WAITLISTED, scene.now, actor, tell=PersonMessage.NEWS))
        return happened

    def _told_when_sent(self) -> PersonMessage | None:
        """Once, by the first agency that is asked; not of the next ones, nor who was told to go elsewhere."""
        is_first = len(self.attempts) == 1 and self.state is not ReferralState.OUT_OF_AREA
        return PersonMessage.REFERRED if is_first else None

    def _open_attempt(self, link: Link, scene: Scene) -> Attempt:
        attempt = Attempt(
            attempt_no=len(self.attempts) + 1,
            partner_id=link.partner_id,
            partner_type=scene.directory.partners[link.partner_id].type,
            serves=link.serves,
            sent_at=scene.now,
            ack_due=self._due(scene),
            programme_id=link.programme_id,
        )
        self._take_place(attempt, scene)
        self.attempts.append(attempt)
        self.due_from = self._counts_from(scene.now)
        self.sent_at, self.ack_due = attempt.sent_at, attempt.ack_due
        self.hold_reason = self.offer_lapses_at = None
        if self.state is not ReferralState.OUT_OF_AREA:
            self.state = ReferralState.SENT
        return attempt

    def _counts_from(self, now: datetime) -> datetime:
        """The instant from which an answer asked for now is due."""
        return self.received_at if now - self.received_at <= FROM_RECEIPT else now

    def _due(self, scene: Scene) -> datetime:
        """When whoever is asked now must have answered."""
        return attempt_ack_due(
            self.urgency, self.received_at, scene.now, self.contact_due, self.hard_deadline, scene.calendar
        )

    def _recall(self, reason: str, actor: str, scene: Scene) -> Happenings:
        attempt = self.holder
        if attempt is None:
            return []
        happened = self._recall_handover(reason, actor, scene)
        self._end(attempt, AttemptState.RECALLED, reason, scene)
        return [*happened, self._event(catalogue.RECALLED, scene.now, actor, reason=reason)]

    def _recall_handover(
        self, reason: str, actor: str, scene: Scene, ended: AttemptState = AttemptState.RECALLED
    ) -> Happenings:
        """A proposed handover ends with whatever it was proposed for."""
        proposed = self.handover
        if proposed is None:
            return []
        self._end(proposed, ended, reason, scene)
        return [self._handover_event(catalogue.HANDOVER_RECALLED, proposed, proposed, actor, scene, reason)]

    def _handover_event(
        self, kind: EventType, about: Attempt, to: Attempt, actor: str, scene: Scene, reason: str | None = None
    ) -> Happening:
        """about: the attempt whose agency it concerns, which is told.  to: of the agency that was asked."""
        sides: dict[str, Any] = {"from_partner_id": self._giver(to).partner_id, "to_partner_id": to.partner_id}
        return self._event(kind, scene.now, actor, attempt=about, reason=reason, **sides)

    def _giver(self, to: Attempt) -> Attempt:
        """Whose agency proposed to hand the person over."""
        return next(each for each in reversed(self.attempts) if each.responsible and each is not to)

    def _end(self, attempt: Attempt, state: AttemptState, reason: str | None, scene: Scene) -> None:
        attempt.state, attempt.reason_code = state, reason
        if state is AttemptState.DECLINED:
            attempt.answered_at = attempt.answered_at or scene.now
        self._give_place_back(attempt, scene)

    def _take_place(self, attempt: Attempt, scene: Scene) -> bool:
        """Count one of the agency's published places, once; False where none is counted or free."""
        if attempt.place_taken_at is None and scene.places.take(attempt.link):
            attempt.place_taken_at = scene.now
            return True
        return False

    def _give_place_back(self, attempt: Attempt, scene: Scene) -> None:
        if attempt.place_taken_at is not None:
            scene.places.give_back(attempt.link, attempt.place_taken_at)
            attempt.place_taken_at = None

    def _is_last(self, attempt: Attempt | None) -> bool:
        return attempt is not None and attempt.partner_type is PartnerType.COORD

    def _live_attempt(self, move: Move, partner_id: str) -> Attempt:
        """The attempt of the agency that moves, if it is the one asked now."""
        attempt = self._attempts_of(move, partner_id)[-1]
        if attempt is self.handover:
            raise TransitionRefused(move, self.state)
        if attempt is not self.current or not attempt.is_live:
            raise AttemptEnded(move, self.state)
        return attempt

    def _attempts_of(self, move: Move, partner_id: str) -> Sequence[Attempt]:
        found = [attempt for attempt in self.attempts if attempt.partner_id == partner_id]
        if not found:
            raise AttemptEnded(move, self.state)
        return found

    def _closed(self, outcome: Outcome, actor: str, scene: Scene) -> Happenings:
        happened = self._recall_handover(outcome, actor, scene)
        self.outcome_code = outcome
        if outcome in (Outcome.RECEIVED, Outcome.PARTIAL):
            self.contacted_at = self.contacted_at or scene.now
        return [*happened, self._event(catalogue.CLOSED, scene.now, actor)]
