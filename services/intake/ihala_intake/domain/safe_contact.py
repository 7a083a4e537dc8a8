"""Whether a person may be told anything about their case, and by which way.

Rule (P19): where a message could harm, nothing is told, and the answer is that of a missing case.  A message to
the person is about the case; what one referral alone forbids, the referral's own event says.
"""

from collections.abc import Collection

from ihala_events.intake import IntakeRequest
from ihala_events.vocabulary import RESTRICTED_NEEDS, Channel, ConsentBasis, LanguageTag, Vulnerability
from ihala_events.wire import Payload

NOT_ASKED = frozenset({ConsentBasis.BEST_INTEREST, ConsentBasis.VITAL_INTEREST})
IN_DANGER = frozenset({Vulnerability.GENDER_VIOLENCE, Vulnerability.TRAFFICKING})
DIALLED = frozenset({Channel.CALL, Channel.SMS, Channel.WHATSAPP})


class SafeWay(Payload):
    """``phone`` null for RELAY.  ``language``: of the contact, else of the consent.  ``voicemail_ok``: for a call.
    ``to_guardian``: of a minor, whose guardian agreed."""

    channel: Channel
    phone: str | None
    hours: str | None
    language: LanguageTag | None
    voicemail_ok: bool
    to_guardian: bool


def may_be_told(basis: ConsentBasis, need_codes: Collection[str]) -> bool:
    """What is known without opening the file.  need_codes: asked, and added by the rules."""
    return basis not in NOT_ASKED and RESTRICTED_NEEDS.isdisjoint(need_codes)


def safe_way(intake: IntakeRequest, basis: ConsentBasis, consent_language: str) -> SafeWay | None:
    """None where nothing may be told, or there is no way to."""
    contact = intake.safe_contact
    if contact.phone_shared or contact.channel is Channel.NONE or IN_DANGER & set(intake.vulnerabilities or ()):
        return None
    phone = intake.phone if contact.channel in DIALLED else None
    if phone is None and contact.channel in DIALLED:
        return None
    return SafeWay(
        channel=contact.channel,
        phone=phone,
        hours=contact.hours,
        language=contact.language or consent_language,
        voicemail_ok=bool(contact.voicemail_ok),
        to_guardian=basis is ConsentBasis.GUARDIAN,
    )
