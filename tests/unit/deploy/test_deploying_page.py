"""docs/deploying.md and the settings the services really take."""

import re

from ihala_intake.settings import IntakeSettings
from ihala_local.checkout import CHECKOUT
from ihala_notification.settings import NotificationSettings
from ihala_referral.settings import ReferralSettings
from ihala_runtime.settings import ServiceSettings
from pydantic_core import to_jsonable_python

SETTINGS: dict[str, type[ServiceSettings]] = {
    "intake": IntakeSettings,
    "referral": ReferralSettings,
    "notification": NotificationSettings,
}
ROW = re.compile(r"^\| `(IHALA_\w+)` \| ([^|]+) \| ([^|]+) \|", re.MULTILINE)
PAGE = (CHECKOUT / "docs" / "deploying.md").read_text()


def default_of(settings: type[ServiceSettings], field: str) -> str:
    info = settings.model_fields[field]
    if info.is_required():
        return "required"
    value = to_jsonable_python(info.default)
    return "none" if value is None else f"`{value}`" if value != [] else "empty"


def services_of(field: str) -> str:
    having = [name for name, settings in SETTINGS.items() if field in settings.model_fields]
    return "all" if len(having) == len(SETTINGS) else ", ".join(having)


def rows_of_the_code() -> set[tuple[str, str, str]]:
    return {
        (f"IHALA_{field.upper()}", services_of(field), default_of(settings, field))
        for settings in SETTINGS.values()
        for field in settings.model_fields
    }


def test_the_table_of_settings_is_that_of_the_code() -> None:
    section = PAGE.split("\n## Settings\n")[1].split("\n## ")[0]

    written = [tuple(cell.strip() for cell in row) for row in ROW.findall(section)]

    assert len(written) == len(set(written))
    assert set(written) == rows_of_the_code()


def test_every_variable_of_the_compose_file_is_named() -> None:
    compose = (CHECKOUT / "docker-compose.yml").read_text()

    variables = set(re.findall(r"\$\{(\w+)", compose))

    assert {name for name in variables if f"`{name}`" not in PAGE} == set()


def test_every_layer_is_named() -> None:
    layers = {path.name for path in (CHECKOUT / "deploy" / "compose").glob("*.yml")}

    assert {name for name in layers if f"`deploy/compose/{name}`" not in PAGE} == set()
