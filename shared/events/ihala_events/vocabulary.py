"""The codes of the field: what may stand in a message, and nothing else.

Closed sets that code decides on are enums. Sets that a territory replaces (needs, communes, languages) are
data in ``codes/*.toml``, read once when this module is imported; ``IHALA_CODES_DIR`` names another folder.
A code is never renamed: add a new one.
"""

import os
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from importlib import resources
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

TIME_ZONE_KEY = "Africa/Casablanca"


def _time_zone(key: str) -> ZoneInfo:
    """From the ``tzdata`` package where it is installed: the machine's own tables may be years old."""
    folder, _, name = key.rpartition("/")
    try:
        with resources.files(f"tzdata.zoneinfo.{folder}").joinpath(name).open("rb") as table:
            return ZoneInfo.from_file(table, key)
    except (ModuleNotFoundError, FileNotFoundError):
        return ZoneInfo(key)


TIME_ZONE = _time_zone(TIME_ZONE_KEY)
"""Local time of the territory; instants are stored and sent in UTC."""

RESTRICTED = "RESTRICTED"
"""What a restricted need reads outside its circle (P07)."""


class AgeBand(StrEnum):
    """First and last year of age. The first year is the age that rules compare."""

    BABY = "0-4"
    FIVE = "5"
    PRIMARY = "6-11"
    MIDDLE = "12-15"
    YOUTH = "16-17"
    YOUNG_ADULT = "18-24"
    ADULT = "25-59"
    OLDER = "60+"

    @property
    def first_year(self) -> int:
        return int(self.value.split("-")[0].rstrip("+"))

    @property
    def last_year(self) -> int:
        """Last year of the band; 130 for the open one."""
        return 130 if self.value.endswith("+") else int(self.value.split("-")[-1])

    @property
    def is_minor(self) -> bool:
        return self.first_year < ADULT_AGE


ADULT_AGE = 18


class BirthPrecision(StrEnum):
    YEAR = "Y"
    ESTIMATED = "EST"


class Sex(StrEnum):
    F = "F"
    M = "M"
    X = "X"
    UNKNOWN = "U"


class Urgency(StrEnum):
    """U0 immediate … U4 routine."""

    U0 = "U0"
    U1 = "U1"
    U2 = "U2"
    U3 = "U3"
    U4 = "U4"

    @property
    def rank(self) -> int:
        """0 is the most urgent."""
        return int(self.value[1])


class UrgencyReason(StrEnum):
    """Why a need counts as less urgent than its rule says."""

    CLINICAL = "CLINICAL"
    PERSON_ASKS = "PERSON_ASKS"
    ALREADY_HELPED = "ALREADY_HELPED"
    OTHER = "OTHER"


class LanguageLevel(StrEnum):
    NATIVE = "native"
    GOOD = "good"
    BASIC = "basic"


class Script(StrEnum):
    LATN = "Latn"
    ARAB = "Arab"
    TFNG = "Tfng"


class NameRole(StrEnum):
    FULL = "full"
    GIVEN = "given"
    FAMILY = "family"
    OTHER = "other"


class Channel(StrEnum):
    """How the person may safely be reached."""

    NONE = "NONE"
    CALL = "CALL"
    SMS = "SMS"
    WHATSAPP = "WHATSAPP"
    RELAY = "RELAY"


class PersonMessage(StrEnum):
    """What a person is told.  referred: once a referral.  news: a place or a position.  redirected: elsewhere.
    withdrawn: taken back."""

    REFERRED = "referred"
    NEWS = "news"
    REDIRECTED = "redirected"
    WITHDRAWN = "withdrawn"


class ConsentMode(StrEnum):
    WRITTEN = "written"
    ORAL = "oral"
    THUMB = "thumb"


class ConsentBasis(StrEnum):
    CONSENT = "CONSENT"
    GUARDIAN = "GUARDIAN"
    BEST_INTEREST = "BEST_INTEREST"
    VITAL_INTEREST = "VITAL_INTEREST"


class Vulnerability(StrEnum):
    UNACCOMPANIED = "V-UAC"
    SEPARATED = "V-SEP"
    CHILD_AT_RISK = "V-CAR"
    PREGNANT = "V-PRG"
    SINGLE_PARENT = "V-SPH"
    GENDER_VIOLENCE = "V-GBV"
    TRAFFICKING = "V-VOT"
    DISABILITY = "V-DIS"
    SERIOUS_MEDICAL = "V-SMC"
    OLDER = "V-OLD"
    TORTURE = "V-TOR"
    STREET = "V-STR"


class StatusCode(StrEnum):
    """Legal status, read only by the rows that ask for it (P21)."""

    UNKNOWN = "ST-UNK"
    REGULAR = "ST-REG"
    PENDING = "ST-PEN"
    EXPIRED = "ST-EXP"
    IRREGULAR = "ST-IRR"
    ASYLUM_SEEKER = "ST-ASY"
    REFUGEE = "ST-REF"
    STATELESS = "ST-STL"
    STUDENT = "ST-STU"
    MOROCCAN = "ST-MAR"
    MINOR = "ST-NAP"


class DocType(StrEnum):
    """Kinds of paper seen. A number is never recorded (P05)."""

    NONE = "DOC-NONE"
    PASSPORT = "DOC-PAS"
    CONSULAR = "DOC-CON"
    REGISTRATION_CARD = "DOC-CIM"
    RESIDENCE_CARD = "DOC-CRE"
    RECEIPT = "DOC-REC"
    MINOR_TRAVEL = "DOC-DCM"
    UNHCR = "DOC-HCR"
    BIRTH = "DOC-BIR"
    SCHOOL = "DOC-SCH"
    VACCINATION = "DOC-VAC"
    ADDRESS = "DOC-ADR"
    SOCIAL_REGISTER = "DOC-RNP"


class Relation(StrEnum):
    PARENT = "PARENT"
    CHILD = "CHILD"
    SIBLING = "SIBLING"
    SPOUSE = "SPOUSE"
    OTHER = "OTHER"


class CareWindow(StrEnum):
    OPEN = "open"
    CLOSED = "closed"
    UNKNOWN = "unknown"


class PartnerType(StrEnum):
    """Kinds of agency. None exists for police or immigration control (P12)."""

    ESSP = "PT-ESSP"
    HOS = "PT-HOS"
    REH = "PT-REH"
    COV = "PT-COV"
    EDU_DP = "PT-EDU-DP"
    VOC = "PT-VOC"
    UNI = "PT-UNI"
    CAPE = "PT-CAPE"
    EN = "PT-EN"
    EMF = "PT-EMF"
    CRDH = "PT-CRDH"
    COM = "PT-COM"
    CIV = "PT-CIV"
    EMP = "PT-EMP"
    NGO_HEA = "PT-NGO-HEA"
    NGO_WOM = "PT-NGO-WOM"
    NGO_CHI = "PT-NGO-CHI"
    NGO_LEG = "PT-NGO-LEG"
    NGO_SOC = "PT-NGO-SOC"
    IOM = "PT-IOM"
    HCR = "PT-HCR"
    COORD = "PT-COORD"


class Jurisdiction(StrEnum):
    MOROCCO = "MA"
    INTERNATIONAL = "IO"
    FOREIGN = "foreign"


class IntakeState(StrEnum):
    SUBMITTED = "submitted"
    HELD = "held"
    INFORMATION_ONLY = "information_only"


class ReferralState(StrEnum):
    PROPOSED = "proposed"
    SENT = "sent"
    ACKNOWLEDGED = "acknowledged"
    ACCEPTED = "accepted"
    WAITLISTED = "waitlisted"
    IN_SERVICE = "in_service"
    CLOSED = "closed"
    WITHDRAWN = "withdrawn"
    OUT_OF_AREA = "out_of_area"


class HoldReason(StrEnum):
    CONFIRMATION = "confirmation"
    CONSENT = "consent"
    DUPLICATE = "duplicate"


class AttemptState(StrEnum):
    """``handover``: another agency proposed to hand the person over to this one. ``handed_over``: it did."""

    OFFERED = "offered"
    ACKNOWLEDGED = "acknowledged"
    ACCEPTED = "accepted"
    DECLINED = "declined"
    SILENT = "silent"
    RECALLED = "recalled"
    HANDOVER = "handover"
    HANDED_OVER = "handed_over"


class DeclineReason(StrEnum):
    CAPACITY = "CAPACITY"
    NOT_ELIGIBLE = "NOT_ELIGIBLE"
    OUT_OF_AREA = "OUT_OF_AREA"
    NO_SUCH_SERVICE = "NO_SUCH_SERVICE"
    UNREACHABLE_PERSON = "UNREACHABLE_PERSON"
    DUPLICATE = "DUPLICATE"
    INSUFFICIENT_INFO = "INSUFFICIENT_INFO"
    NO_INTERPRETER = "NO_INTERPRETER"
    OTHER = "OTHER"


class Outcome(StrEnum):
    RECEIVED = "RECEIVED"
    PARTIAL = "PARTIAL"
    NOT_RECEIVED = "NOT_RECEIVED"
    DECLINED_BY_PERSON = "DECLINED_BY_PERSON"
    LOST_CONTACT = "LOST_CONTACT"
    MOVED = "MOVED"
    DECEASED = "DECEASED"
    TRANSFERRED = "TRANSFERRED"


class Coverage(StrEnum):
    CORE = "core"
    EXTENDED = "extended"
    WATCH = "watch"
    OUT = "out"


@dataclass(frozen=True, slots=True)
class Need:
    """A line of the taxonomy. ``confirm``: a human confirms before it is sent. ``status``: status may be asked."""

    code: str
    fr: str
    ar: str
    en: str
    restricted: bool = False
    confirm: bool = False
    status: bool = False

    @property
    def sector(self) -> str:
        """HEA, EDU or SOC."""
        return self.code[:3]


@dataclass(frozen=True, slots=True)
class Commune:
    code: str
    fr: str
    ar: str
    coverage: Coverage
    aliases: tuple[str, ...] = ()
    near: tuple[str, ...] = ()
    hcp: str = ""

    @property
    def prefecture(self) -> str:
        return self.code.split("-")[0]

    @property
    def is_inside(self) -> bool:
        return self.coverage in (Coverage.CORE, Coverage.EXTENDED)


def _read(name: str) -> dict[str, Any]:
    folder = Path(os.environ.get("IHALA_CODES_DIR") or Path(__file__).parent / "codes")
    return tomllib.loads((folder / name).read_text(encoding="utf-8"))


def _commune(code: str, row: Mapping[str, Any]) -> Commune:
    lists = {key: tuple(row.get(key, ())) for key in ("aliases", "near")}
    return Commune(code, row["fr"], row["ar"], Coverage(row["coverage"]), **lists, hcp=row.get("hcp", ""))


_communes = _read("communes.toml")
_languages = _read("languages.toml")

NEEDS: Mapping[str, Need] = MappingProxyType(
    {code: Need(code=code, **row) for code, row in _read("needs.toml").items()}
)
COMMUNES: Mapping[str, Commune] = MappingProxyType(
    {code: _commune(code, row) for code, row in _communes["communes"].items()}
)
PREFECTURES: tuple[str, ...] = tuple(dict.fromkeys(commune.prefecture for commune in COMMUNES.values()))
NEAR_PREFECTURES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {code: tuple(near) for code, near in _communes["near_prefectures"].items()}
)
LANGUAGES: frozenset[str] = frozenset(_languages["tags"])
MACROLANGUAGES: Mapping[str, frozenset[str]] = MappingProxyType(
    {macro: frozenset(members) for macro, members in _languages["macrolanguages"].items()}
)
RESTRICTED_NEEDS: frozenset[str] = frozenset(code for code, need in NEEDS.items() if need.restricted)


def masked(need_code: str) -> str:
    """The need as those outside its circle may read it."""
    return RESTRICTED if need_code in RESTRICTED_NEEDS else need_code


def language_base(tag: str) -> str:
    """The tag without its script: ``shi-Tfng`` is spoken ``shi``."""
    return tag.split("-")[0]


def languages_shared(mine: frozenset[str] | set[str], theirs: frozenset[str] | set[str]) -> bool:
    """True when one tag is equal without script, or both are of one macrolanguage."""
    return not spoken(frozenset(mine)).isdisjoint(spoken(frozenset(theirs)))


@lru_cache(maxsize=4096)
def spoken(tags: frozenset[str]) -> frozenset[str]:
    """What these tags have in common with others: without script, a member as its macrolanguage."""
    return frozenset(_MACRO_OF.get(base, base) for base in map(language_base, tags))


_MACRO_OF = {member: macro for macro, members in MACROLANGUAGES.items() for member in members}


def _one_of(codes: frozenset[str]) -> AfterValidator:
    def check(value: str) -> str:
        if value not in codes:
            raise PydanticCustomError("unknown-code", "is not one of the allowed codes")
        return value

    return AfterValidator(check)


NeedCode = Annotated[str, _one_of(frozenset(NEEDS)), WithJsonSchema({"type": "string", "enum": sorted(NEEDS)})]
CommuneCode = Annotated[str, _one_of(frozenset(COMMUNES)), WithJsonSchema({"type": "string", "enum": sorted(COMMUNES)})]
LanguageTag = Annotated[str, _one_of(LANGUAGES), WithJsonSchema({"type": "string", "enum": sorted(LANGUAGES)})]
SECTORS = tuple(sorted({need.sector for need in NEEDS.values()}))

Purpose = Annotated[
    str,
    _one_of(frozenset(NEEDS) | frozenset(SECTORS)),
    WithJsonSchema({"type": "string", "enum": [*SECTORS, *sorted(NEEDS)]}),
]
"""What data are shared for: one need, or every need of a sector."""


def needs_of(purposes: Iterable[str]) -> frozenset[str]:
    wanted = frozenset(purposes)
    return frozenset(code for code, need in NEEDS.items() if code in wanted or need.sector in wanted)


MaskedNeedCode = Annotated[str, _one_of(frozenset(NEEDS) | {RESTRICTED})]

PARTY_ID_PATTERN = r"^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$"
PartyId = Annotated[str, Field(pattern=PARTY_ID_PATTERN)]
DeskId = Annotated[str, Field(pattern=PARTY_ID_PATTERN)]
