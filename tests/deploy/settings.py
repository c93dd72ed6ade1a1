"""The names that podium's settings have in the environment."""

from pydantic import AliasChoices

from gateway.settings import Settings


def _names() -> set[str]:
    names: set[str] = set()
    for name, field in Settings.model_fields.items():
        alias = field.validation_alias
        names |= {str(choice) for choice in alias.choices} if isinstance(alias, AliasChoices) else {name}
    return {name.upper() for name in names}


NAMES = _names()
