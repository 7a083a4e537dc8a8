"""The rules by which a fault run is judged: G1-G6 and G10, each over all ids; a finding is a sentence with the id.

Rule: what is right is written here from the contracts, never asked of the product's own tables and functions.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from uuid import UUID, uuid5

from ihala_events.topics import INTAKE_CASE, REFERRAL_LIFECYCLE
from support.fault_history import NO_ANSWER, History, Webhook
from support.fault_stored import REFERRAL_EVENTS, Event, Stored

HONEST = (201, 422, 503, NO_ANSWER)
MOVED, NOT_ANY_MORE = 200, 409
POISON_KEYS = (None, b"poison", b"k")
"""Of records that tests wrote for nobody to read."""
DELETE = f"{REFERRAL_EVENTS}deletion-requested.v1"

# --- from the contracts, section 4: states, moves and their events

ADDRESSED = ("sent", "acknowledged", "accepted", "waitlisted", "in_service", "closed", "out_of_area")
"""In these an agency is asked, or serves; in the others nobody is."""
OPEN = ("proposed", "sent", "acknowledged", "accepted", "waitlisted", "in_service", "out_of_area")
WITH_AN_AGENCY = tuple(state for state in OPEN if state not in ("proposed", "out_of_area"))
EVERY = (*OPEN, "closed", "withdrawn")

Pairs = frozenset[tuple[str | None, str]]


def _to(state: str, *before: str | None) -> Pairs:
    return frozenset((each, state) for each in before)


def _kept(*states: str) -> Pairs:
    return frozenset((each, each) for each in states)


NEXT_ATTEMPT = _to("sent", *WITH_AN_AGENCY) | _kept(*WITH_AN_AGENCY)
"""Of the first events of a move that ends in `sent`: each may tell of the state before or after it."""
LEGAL: Mapping[str, Pairs] = {
    "proposed": _to("proposed", None),
    "confirmed": _kept("proposed") | _to("sent", "proposed"),
    "sent": _to("sent", "proposed", *WITH_AN_AGENCY),
    "acknowledged": _to("acknowledged", "sent"),
    "accepted": _to("accepted", "sent", "acknowledged", "waitlisted"),
    "declined": NEXT_ATTEMPT,
    "rerouted": NEXT_ATTEMPT,
    "recalled": NEXT_ATTEMPT,
    "waitlisted": _to("waitlisted", "sent", "acknowledged"),
    "place-offered": _kept("waitlisted"),
    "contacted": _kept(*WITH_AN_AGENCY),
    "started": _to("in_service", "accepted"),
    "closed": _to("closed", *OPEN),
    "reminder": _kept("sent", "waitlisted"),
    "deadline-missed": _kept(*OPEN),
    "deadlines-changed": _kept(*OPEN),
    "escalated": _kept(*OPEN),
    "gap-recorded": _kept(*OPEN),
    "consent-needed": _to("proposed", *OPEN),
    "out-of-area": _to("out_of_area", "proposed"),
    "withdrawn": _to("withdrawn", *OPEN),
    "deletion-requested": _kept("closed", "withdrawn"),
    "deletion-confirmed": _kept(*EVERY),
    "correction-requested": _kept(*OPEN),
    "correction-confirmed": _kept(*EVERY),
}
EVENT_OF_MOVE = {
    "acknowledge": "acknowledged",
    "accept": "accepted",
    "decline": "declined",
    "hand-back": "declined",
    "start": "started",
    "close": "closed",
}
MADE_BY_THE_CLOCK = ("reminder", "deadline-missed", "escalated", "rerouted", "sent", "recalled", "deadlines-changed")

# --- from the contracts, section 6: what an agency is told

TOLD = ("sent", "reminder", "recalled", "place-offered", "deletion-requested", "correction-requested")
ASKING = ("sent", "reminder", "place-offered")
"""What is still held back of these when their attempt ends need not be told."""
ENDING = ("declined", "recalled", "closed", "withdrawn")


def copy_id(event: Event) -> str:
    """Of the webhook and of the record on the agency's topic."""
    return str(uuid5(UUID(event.event_id), event.says["partner_id"]))


def _honest(history: History, _stored: Stored) -> Iterator[str]:
    """Whoever cannot be served is told to come again and when, and nothing else."""
    for each in (*history.handed_in, *history.refused):
        if wrong := {status for status in each.statuses if status not in HONEST}:
            yield f"G1: intake {each.key} was answered {wrong}"
    for (referral_id, attempt_no, move), status in history.moves.items():
        if status not in (MOVED, NOT_ANY_MORE):
            yield f"G1: {move} of {referral_id}, attempt {attempt_no}, was answered {status}"
    for case_ref, status in history.withdrawn.items():
        if status != MOVED:
            yield f"G1: the withdrawal of {case_ref} was answered {status}"
    for case_ref, status in history.rerouted.items():
        if status not in (MOVED, NOT_ANY_MORE):
            yield f"G1: to ask another agency for {case_ref} was answered {status}"
    yield from (f"G1: {each} was answered 503 without Retry-After" for each in history.unadvised)


def _answered(history: History, stored: Stored) -> Iterator[str]:
    """G1, first half: what was accepted is stored as a case and one referral, and nothing else is."""
    told = {answer["case_ref"] for answer in history.accepted}
    for each in history.handed_in:
        if each.answer is None:
            yield f"G1: intake {each.key} was never accepted: {each.statuses[-3:]}"
    for case_ref in told - stored.cases:
        yield f"G1: {case_ref} was accepted and is not stored"
    for case_ref in stored.cases - told:
        yield f"G2: {case_ref} is stored and was never accepted"
    by_case = Counter(row["case_ref"] for row in stored.referrals.values())
    for case_ref in told:
        if by_case[case_ref] != 1:
            yield f"G1: {case_ref} has {by_case[case_ref]} referrals"


def _nothing_refused_is_stored(history: History, stored: Stored) -> Iterator[str]:
    for each in history.refused:
        if each.statuses[-1] != 422:
            yield f"G2: a wrong intake was answered {each.statuses}"
        if each.key in stored.requests:
            yield f"G2: refused intake {each.key} is stored"


def _same_answer(history: History, _stored: Stored) -> Iterator[str]:
    """G3: the same key again, the same answer."""
    for each in history.handed_in:
        if each.answer_again is not None and each.answer_again != each.answer:
            yield f"G3: intake {each.key} was answered in two ways"


def _told(history: History, stored: Stored) -> Iterator[str]:
    """G1, second half: each agency was told what it should be, by each of its channels, and nothing else."""
    by_webhook = {(hook.webhook_id, hook.partner_id) for hook in history.webhooks}
    by_topic = {(copy.copy_id, copy.partner_id) for copy in stored.copies}
    given_up = {row["delivery_id"] for row in stored.deliveries if row["state"] == "exhausted"}
    on_topic = {row["delivery_id"] for row in stored.deliveries if row["channel"] == "kafka"}
    too_late, expected = set(_held_back_rightly(stored)), set()
    for event in (each for life in stored.lives().values() for each in life if each.kind in TOLD):
        told = (copy_id(event), event.says["partner_id"])
        expected.add(told)
        channels = stored.channels[event.says["partner_id"]]
        if "webhook" in channels and told not in by_webhook and told[0] not in given_up | too_late:
            yield f"G1: {told[1]} was never told {event.kind} of {event.aggregate_id}"
        if "kafka" in channels and told not in by_topic and (told[0] in on_topic or told[0] not in too_late):
            yield f"G1: {told[1]} finds no copy of {event.kind} of {event.aggregate_id}"
    yield from (f"G2: {told} was sent and tells of nothing" for told in (by_webhook | by_topic) - expected)


def _held_back_rightly(stored: Stored) -> Iterator[str]:
    """What asks when its attempt has ended, and a recall that comes behind the order to delete."""
    held_back = {row["delivery_id"]: row["position"] for row in stored.deliveries if row["state"] == "suppressed"}
    deletes = {
        (row["referral_id"], row["partner_id"]): row["position"]
        for row in stored.deliveries
        if row["event_type"] == DELETE
    }
    for referral_id, life in stored.lives().items():
        for event in (each for each in life if each.kind in TOLD and copy_id(each) in held_back):
            before = deletes.get((referral_id, event.says["partner_id"]))
            overtaken = before is not None and before < held_back[copy_id(event)]
            if (event.kind in ASKING and _has_ended(event, life)) or (event.kind == "recalled" and overtaken):
                yield copy_id(event)


def _has_ended(event: Event, life: Sequence[Event]) -> bool:
    attempt_no = event.says["attempt_no"]
    later = [each for each in life if each.sequence > event.sequence]
    return any(
        each.says["attempt_no"] > attempt_no
        if each.kind == "sent"
        else each.kind in ENDING and each.says["attempt_no"] >= attempt_no
        for each in later
    )


def _one_delivery(_history: History, stored: Stored) -> Iterator[str]:
    seen = Counter((row["event_id"], row["partner_id"], row["channel"]) for row in stored.deliveries)
    for (event_id, partner_id, channel), count in seen.items():
        if count > 1:
            yield f"G4: {count} deliveries of {event_id} to {partner_id} by {channel}"


def _taken_back(history: History, stored: Stored) -> Iterator[str]:
    """G1: a consent that is withdrawn ends the referral, and whoever was told of it is told to delete, afterwards."""
    given_up = {(row["referral_id"], row["partner_id"]) for row in stored.deliveries if row["state"] == "exhausted"}
    last_told = {(hook.referral_id, hook.partner_id): hook.type for hook in history.first_of_each()}
    for referral_id, row in stored.referrals.items():
        if row["case_ref"] in history.withdrawn and row["state"] not in ("withdrawn", "closed"):
            yield f"G1: {referral_id} is {row['state']}, its consent is withdrawn"
    for (referral_id, partner_id), last in last_told.items():
        withdrawn = stored.referrals[referral_id]["case_ref"] in history.withdrawn
        if withdrawn and last != DELETE and (referral_id, partner_id) not in given_up:
            yield f"G1: {partner_id} was told {last} of {referral_id} last, its consent is withdrawn"


def _same_bytes(history: History, stored: Stored) -> Iterator[str]:
    """G4: a repetition has the same id and the same bytes, by whatever channel."""
    by_webhook: dict[str, set[str]] = defaultdict(set)
    by_topic: dict[str, set[str]] = defaultdict(set)
    for hook in history.webhooks:
        by_webhook[hook.webhook_id].add(hook.body_hash)
    for copy in stored.copies:
        by_topic[copy.copy_id].add(copy.body_hash)
        if copy.body_id != copy.copy_id:
            yield f"G4: copy {copy.copy_id} says that it is {copy.body_id}"
    for each, hashes in (*by_webhook.items(), *by_topic.items()):
        if len(hashes) > 1:
            yield f"G4: {each} came with different bytes"


def _no_more_repeats(history: History, _stored: Stored) -> Iterator[str]:
    """G4: only what was under way, or not yet written down, when notification died comes again; once for each death."""
    for webhook_id, over in history.excessive_webhooks().items():
        yield f"G4: webhook {webhook_id} came {over} times more than what was lost explains"
    for message_id, over in history.excessive_texts().items():
        yield f"G4: message {message_id} to a person was sent {over} times more than what was lost explains"


def _persons(history: History, stored: Stored) -> Iterator[str]:
    """G1, G4: a person is told what notification says it told, once each."""
    came = {each.message_id for each in history.texts}
    for message_id, row in stored.texts.items():
        if row["state"] == "sent" and message_id not in came:
            yield f"G1: the person of {row['case_ref']} was never told {row['message']}"
    yield from (f"G2: message {each} to a person tells of nothing" for each in came - stored.texts.keys())
    ids_of = defaultdict(set)
    for each in history.texts:
        ids_of[each.text].add(each.message_id)
    yield from (f"G4: a person was told the same as {ids}" for ids in ids_of.values() if len(ids) > 1)


def _in_order(history: History, stored: Stored) -> Iterator[str]:
    """G5: an agency hears of one referral in the order of the events, the recall after what it recalls."""
    events = {copy_id(event): event for life in stored.lives().values() for event in life if event.kind in TOLD}
    hooks = [(hook.webhook_id, hook.partner_id, "webhook") for hook in history.first_of_each()]
    copies = [(copy, partner_id, "kafka") for copy, partner_id in dict.fromkeys(_ids(stored))]
    heard: dict[tuple[str, str, str], list[int]] = defaultdict(list)
    for told, partner_id, channel in (*hooks, *copies):
        if told in events:
            heard[events[told].aggregate_id, partner_id, channel].append(events[told].sequence)
    for (referral_id, partner_id, channel), numbers in heard.items():
        if numbers != sorted(numbers):
            yield f"G5: {partner_id} was told of {referral_id} by {channel} in the order {numbers}"


def _ids(stored: Stored) -> Iterator[tuple[str, str]]:
    return ((copy.copy_id, copy.partner_id) for copy in stored.copies)


def _legal(_history: History, stored: Stored) -> Iterator[str]:
    """G6: every life by the table, without a gap or a twin, each event with who, when and why."""
    for aggregate_id, numbers in _sequences(stored).items():
        if sorted(numbers) != list(range(1, len(numbers) + 1)):
            yield f"G6: {aggregate_id} has the sequences {sorted(numbers)}"
    lives = stored.lives()
    for referral_id, row in stored.referrals.items():
        yield from _lived(referral_id, row, lives.get(referral_id, ()))
    for event in (each for life in lives.values() for each in life):
        if lacking := list(_lacks(event, stored)):
            yield f"G6: {event.kind} {event.event_id} has no {', '.join(lacking)}"


def _sequences(stored: Stored) -> Mapping[str, list[int]]:
    numbers: dict[str, list[int]] = defaultdict(list)
    for event in stored.events.values():
        if event.topic in (REFERRAL_LIFECYCLE.name, INTAKE_CASE.name):
            numbers[event.aggregate_id].append(event.sequence)
    return numbers


def _lived(referral_id: str, row: Any, life: Sequence[Event]) -> Iterator[str]:
    state, attempt_no, asked = None, 0, None
    for event in life:
        after = event.says["state"]
        if (state, after) not in LEGAL.get(event.kind, frozenset()):
            yield f"G6: {referral_id} went from {state} to {after} by {event.kind}"
        if event.kind == "sent":
            if (event.says["attempt_no"], event.says["partner_id"]) in ((attempt_no, asked), (attempt_no + 1, asked)):
                yield f"G6: {referral_id} was sent to {asked} twice in a row"
            attempt_no, asked = attempt_no + 1, event.says["partner_id"]
            if event.says["attempt_no"] != attempt_no:
                yield f"G6: attempt {event.says['attempt_no']} of {referral_id} is its number {attempt_no}"
        state = after
    if (state, attempt_no) != (row["state"], row["attempt_no"]):
        yield f"G6: {referral_id} is {row['state']}, attempt {row['attempt_no']}; its events say {state}, {attempt_no}"


def _lacks(event: Event, stored: Stored) -> Iterator[str]:
    actor, cause = event.says.get("actor"), event.headers.get("ce_causationid")
    if not actor:
        yield "actor"
    if not (event.says.get("at") and event.headers.get("ce_time")):
        yield "time"
    if cause is not None and cause not in stored.events:
        yield "stored cause"
    of_a_call = actor != "system" or event.kind in MADE_BY_THE_CLOCK
    if cause is None and not (of_a_call and "traceparent" in event.headers):  # the call's own trace is its cause
        yield "cause"


def _moved(history: History, stored: Stored) -> Iterator[str]:
    """G1, G6: what an agency or a desk was told is done is in the referral's life, and nothing done by nobody is."""
    done = {
        (event.aggregate_id, event.says["attempt_no"], event.kind, event.says["actor"])
        for life in stored.lives().values()
        for event in life
    }
    asked = {(hook.referral_id, hook.attempt_no): hook.partner_id for hook in history.webhooks if _asks(hook)}
    answered = set()
    for (referral_id, attempt_no, move), status in history.moves.items():
        actor = f"partner:{asked.get((referral_id, attempt_no))}"
        answered.add((referral_id, attempt_no, EVENT_OF_MOVE[move], actor))
        if status == MOVED and (referral_id, attempt_no, EVENT_OF_MOVE[move], actor) not in done:
            yield f"G1: {move} of {referral_id}, attempt {attempt_no}, was answered {status} and is not stored"
    for referral_id, attempt_no, kind, actor in done:
        by_agency = actor.startswith("partner:") and kind in EVENT_OF_MOVE.values()
        if by_agency and (referral_id, attempt_no, kind, actor) not in answered:
            yield f"G6: {referral_id} was {kind} by {actor}, who never said so"
    yield from _rerouted(history, stored)


def _asks(hook: Webhook) -> bool:
    return hook.type == f"{REFERRAL_EVENTS}sent.v1"


def _rerouted(history: History, stored: Stored) -> Iterator[str]:
    by_desk = {
        stored.referrals[event.aggregate_id]["case_ref"]
        for life in stored.lives().values()
        for event in life
        if event.kind == "rerouted" and event.says["actor"].startswith("desk:")
    }
    told = {case_ref for case_ref, status in history.rerouted.items() if status == MOVED}
    yield from (f"G1: another agency was to be asked for {each}, and was not" for each in told - by_desk)
    yield from (f"G6: another agency was asked for {each}, which no desk wanted" for each in by_desk - told)


def _way_back(_history: History, stored: Stored) -> Iterator[str]:
    """G10: intake knows who is addressed, and referral which attempts were told."""
    for referral_id, row in stored.referrals.items():
        addressed = row["partner_id"] if row["state"] in ADDRESSED else None
        known = stored.addressees.get(referral_id, {"partner_id": "nobody it knows of"})["partner_id"]
        if known != addressed:
            yield f"G10: intake takes {known} for the addressee of {referral_id}, not {addressed}"
    ends = defaultdict(list)
    for row in stored.deliveries:
        if row["event_type"] == f"{REFERRAL_EVENTS}sent.v1":
            ends[row["referral_id"], row["attempt_no"]].append(row)
    for attempt in stored.attempts:
        key = (attempt["referral_id"], attempt["attempt_no"])
        tried = any(row["tries"] or row["state"] in ("delivered", "exhausted") for row in ends[key])
        known = (attempt["has_receipt"], attempt["tried"])
        if known != (bool(ends[key]), tried):
            yield f"G10: of {key} a receipt and a try are known {known}, notification says {(bool(ends[key]), tried)}"


def _nothing_is_dead(_history: History, stored: Stored) -> Iterator[str]:
    """G10: nothing of ours is set aside for good; what tests wrote for nobody to read may be."""
    for row in stored.dead:
        if row["event_id"] in stored.events or row["key"] not in POISON_KEYS:
            yield f"G10: {row['consumer']} set {row['event_id']} aside for good: {row['error_class']}"


def _published_is_stored(_history: History, stored: Stored) -> Iterator[str]:
    """No zombie (stored, never published), no ghost (published, never stored)."""
    published = {event_id for ids in stored.published.values() for event_id in ids}
    for event_id, event in stored.events.items():
        if event.topic in stored.published and event_id not in published:
            yield f"G10: {event.type} {event_id} was never published"
    yield from (f"G10: {each} was published and is not stored" for each in published - stored.events.keys())


RULES = (
    _honest,
    _answered,
    _nothing_refused_is_stored,
    _same_answer,
    _told,
    _one_delivery,
    _taken_back,
    _same_bytes,
    _no_more_repeats,
    _persons,
    _in_order,
    _legal,
    _moved,
    _way_back,
    _nothing_is_dead,
    _published_is_stored,
)
