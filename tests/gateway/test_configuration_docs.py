"""docs/configuration.md against the settings: the same names, the same defaults, and examples that work."""

import re
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from pydantic import AliasChoices

from gateway.settings import Settings

PAGE = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| `([A-Z_]+)` \| (.+) \| (unset|`[^`]*`) \| `([^`]*)` \|$", re.MULTILINE)
FIELDS = Settings.model_fields


class Setting(NamedTuple):
    """A row of the table, as it is printed."""

    meaning: str
    default: str
    example: str


TABLE = {match[1].lower(): Setting(match[2], match[3].strip("`"), match[4]) for match in ROW.finditer(PAGE)}


def _read(name: str, text: str) -> Any:
    given: dict[str, Any] = {"_env_file": None, name: text}
    return getattr(Settings(**given), name)


def test_every_setting_is_in_the_table_and_nothing_else() -> None:
    assert list(TABLE) == list(FIELDS)


@pytest.mark.parametrize("name", FIELDS)
def test_the_default_is_the_documented_one(name: str) -> None:
    documented = TABLE[name].default
    assert (None if documented == "unset" else _read(name, documented)) == FIELDS[name].default


@pytest.mark.parametrize("name", FIELDS)
def test_the_example_is_accepted_and_differs_from_the_default(name: str) -> None:
    assert _read(name, TABLE[name].example) != FIELDS[name].default


def test_other_names_of_a_setting_are_in_its_row() -> None:
    aliases = {name: field.validation_alias for name, field in FIELDS.items() if field.validation_alias}
    assert list(aliases) == ["ingest_url", "postgres"]
    for name, alias in aliases.items():
        assert isinstance(alias, AliasChoices)
        others = [str(choice).upper() for choice in alias.choices if choice != name]
        assert all(f"`{other}`" in TABLE[name].meaning for other in others)
