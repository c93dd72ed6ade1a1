"""docs/errors.md and the tree in the module's docstring, against the errors that there are."""

import re
from collections.abc import Iterator
from pathlib import Path

from resolvers import errors
from resolvers.errors import PodiumError

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
TABLE = {code: int(status) for code, status in re.findall(r"^\| `([A-Z_]+)` \| (\d{3}) \|", PAGE, re.MULTILINE)}
BRANCH = re.compile(r"^((?:│   )*)[├└]── (\w+) +([A-Z_]+) +(\d{3})$", re.MULTILINE)
SCHEMA = "".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "schema").glob("*.py")))


def _family(parent: type[PodiumError] = PodiumError) -> Iterator[type[PodiumError]]:
    for child in parent.__subclasses__():
        yield child
        yield from _family(child)


def _tree() -> Iterator[tuple[str, str, str, int]]:
    """Name, parent, code and status of each line of the docstring's tree."""
    parents = ["PodiumError"]
    for indent, name, code, status in BRANCH.findall(errors.__doc__ or ""):
        depth = len(indent) // 4 + 1
        parents[depth:] = [name]
        yield name, parents[depth - 1], code, int(status)


def test_every_code_is_on_the_page_and_no_other() -> None:
    of_the_graph = dict.fromkeys(re.findall(r'"code": "([A-Z_]+)"', SCHEMA), 400)
    assert of_the_graph
    assert {error.code: error.status for error in _family()} | of_the_graph == TABLE


def test_the_tree_in_the_docstring_is_the_family() -> None:
    family = [(error.__name__, error.__bases__[0].__name__, error.code, error.status) for error in _family()]
    assert list(_tree()) == family


def test_no_code_is_used_twice() -> None:
    codes = [error.code for error in _family()]
    assert len(codes) == len(set(codes))


def test_the_reasons_of_the_metrics_are_on_the_page() -> None:
    reasons = re.findall(r'reason="([A-Z_]+)"', SCHEMA)
    assert reasons
    assert not [reason for reason in reasons if f"`{reason}`" not in PAGE]
