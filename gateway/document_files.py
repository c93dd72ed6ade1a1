"""Files of documents: the manifest that a server obeys, and the folder that one is made of."""

from collections.abc import Iterator
from pathlib import Path

from graphql import Source

from schema.manifest import Manifest, ManifestError, manifest_of

SUFFIXES = (".graphql", ".gql")


def read_manifest(path: Path) -> Manifest:
    """The manifest in a file; ManifestError when there is none."""
    return manifest_of(_content(path), str(path))


def read_folder(folder: Path) -> list[Source]:
    """The files of operations and fragments below a folder, in the order of their names.

    Left out are node_modules, and what has a name with a dot in front. ManifestError when there are none.
    """
    sources = [Source(_text(path), str(path)) for path in sorted(_files(folder))]
    if not sources:
        raise ManifestError(f"{folder}: there are no files that end with {' or '.join(SUFFIXES)}")
    return sources


def _files(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        inner = path.relative_to(folder).parts
        is_left_out = any(part == "node_modules" or part.startswith(".") for part in inner)
        if path.suffix in SUFFIXES and path.is_file() and not is_left_out:
            yield path


def _text(path: Path) -> str:
    try:
        return _content(path).decode()
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise ManifestError(f"{path}:{line}: it is not in UTF-8") from None


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ManifestError(f"{path}: it cannot be read: {error.strerror}") from None
