"""What the codes themselves rule out: an agency of police or immigration control, a number of an identity paper."""

from ihala_events.intake import IntakeRequest
from ihala_events.vocabulary import PartnerType
from pydantic.json_schema import JsonSchemaValue

# The complete list of the specification, by hand.
AGENCIES = (
    "PT-ESSP PT-HOS PT-REH PT-COV PT-EDU-DP PT-VOC PT-UNI PT-CAPE PT-EN PT-EMF PT-CRDH PT-COM PT-CIV PT-EMP"
    " PT-NGO-HEA PT-NGO-WOM PT-NGO-CHI PT-NGO-LEG PT-NGO-SOC PT-IOM PT-HCR PT-COORD"
)
# Of the fields that may hold free text, none is meant for a number.
FREE_TEXT = {"names.value", "needs.note", "phone", "safe_contact.hours", "staff", "consent.text_version"}


def test_no_kind_of_agency_is_police_or_immigration_control() -> None:
    assert sorted(PartnerType) == sorted(AGENCIES.split())


def test_an_intake_has_no_field_for_the_number_of_a_paper() -> None:
    schema = IntakeRequest.model_json_schema()

    assert free_texts(schema, schema, "") == FREE_TEXT


def free_texts(part: JsonSchemaValue, schema: JsonSchemaValue, path: str) -> set[str]:
    """Paths of strings that neither a list of codes nor a pattern nor a format closes."""
    if "$ref" in part:
        return free_texts(schema["$defs"][part["$ref"].rsplit("/", 1)[1]], schema, path)
    found: set[str] = set()
    for choice in part.get("anyOf", []):
        found |= free_texts(choice, schema, path)
    if "items" in part:
        found |= free_texts(part["items"], schema, path)
    for name, field in part.get("properties", {}).items():
        found |= free_texts(field, schema, f"{path}.{name}" if path else name)
    is_open = part.get("type") == "string" and not {"enum", "const", "pattern", "format"} & part.keys()
    return found | {path} if is_open else found
