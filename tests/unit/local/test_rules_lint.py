"""`ihala rules lint` checks files without a running system."""

from pathlib import Path

import pytest
from ihala_local.cli import app
from ihala_local.rules import Named, RulesUnreadable, named
from ihala_referral.adapters.shipped_data import rule_texts
from typer.testing import CliRunner

SHIPPED = rule_texts()["2026-11.1.toml"]


def linted(tmp_path: Path, text: str) -> tuple[int, str]:
    file = tmp_path / "rules.toml"
    file.write_text(text, encoding="utf-8")
    result = CliRunner().invoke(app, ["rules", "lint", str(file)])
    return result.exit_code, result.output


def test_the_rules_of_this_release_are_in_order() -> None:
    result = CliRunner().invoke(app, ["rules", "lint"])

    assert (result.exit_code, result.output) == (0, "2026-11.1.toml: 2026-11.1, 62 rows, 0 warnings\n")


def test_an_error_names_file_and_row_and_ends_with_1(tmp_path: Path) -> None:
    code, output = linted(tmp_path, SHIPPED.replace('needs = ["HEA-MAT"]', 'needs = ["HEA-XXX"]', 1))

    assert code == 1
    assert output.replace("\n", "").endswith("rules.toml: error: R10: unknown need 'HEA-XXX'")


@pytest.mark.parametrize(
    ("old", "new", "warning"),
    [
        ('["PT-REH", "PT-NGO-HEA"]', '["PT-REH=", "PT-NGO-HEA"]', "R40 PT-REH for HEA-DIS: none for AGD-AGADIR"),
        (
            'chain = ["PT-HOS", "PT-ESSP"]',
            'chain = ["PT-ESSP", "PT-HOS"]',
            "R07 HEA-EMG: nobody on call for AGD-AGADIR",
        ),
    ],
)
def test_a_step_without_an_agency_is_a_warning(tmp_path: Path, old: str, new: str, warning: str) -> None:
    code, output = linted(tmp_path, SHIPPED.replace(old, new, 1))

    assert code == 0
    assert f"warning: {warning}" in output


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["rules", "lint", str(tmp_path / "none.toml")])

    assert result.exit_code == 1
    assert "No such file" in result.output


def test_a_wrong_file_is_compared_with_nothing(tmp_path: Path) -> None:
    file = tmp_path / "rules.toml"
    file.write_text(SHIPPED.replace('needs = ["HEA-MAT"]', "needs = []", 1), encoding="utf-8")

    with pytest.raises(RulesUnreadable, match=r"rules\.toml: error: R10: 'needs' names each need once"):
        named(str(file))


def test_what_is_no_file_is_a_version() -> None:
    assert named("2026-11.1") == Named("2026-11.1")
