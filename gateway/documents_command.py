"""`podium documents`: a manifest made of the operations in a folder."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from gateway.settings import SettingsError, load_settings


class Format(StrEnum):
    """How a manifest is written."""

    APOLLO = "apollo"
    MAP = "map"


def documents(
    folder: Annotated[Path, typer.Argument(help="Where the files are that end with .graphql or .gql.")],
    output: Annotated[Path | None, typer.Option(help="File to write; else standard output.")] = None,
    format_: Annotated[
        Format, typer.Option("--format", help="apollo: with names, for Apollo Client; map: documents by their hash.")
    ] = Format.APOLLO,
    add_typename: Annotated[
        bool, typer.Option("--add-typename", help="Add __typename to selections, as Apollo Client and urql do.")
    ] = False,
) -> None:
    """Write a manifest, for serve --documents, of the operations in a folder, each with the fragments that it needs."""
    from schema.manifest import ManifestError

    try:
        made = manifest(folder, format_, add_typename=add_typename)
        if output:
            output.write_bytes(made)
        else:
            typer.echo(made.decode(), nl=False)
    except OSError as error:
        _fail(f"{output or 'standard output'}: {error.strerror}")
    except (SettingsError, ManifestError) as error:
        _fail(str(error))


def manifest(folder: Path, format_: Format, *, add_typename: bool) -> bytes:
    """The manifest of a folder; ManifestError names file and line of what cannot be used."""
    from gateway.document_files import read_folder
    from gateway.parts import operations_of
    from schema.collecting import collect
    from schema.manifest import ManifestError, apollo_manifest, relay_manifest

    entries = collect(operations_of(load_settings()), read_folder(folder), add_typename=add_typename)
    if not entries:
        raise ManifestError(f"{folder}: there are no operations in its files")
    return apollo_manifest(entries) if format_ is Format.APOLLO else relay_manifest(entries)


def _fail(message: str) -> NoReturn:
    typer.echo(f"podium: {message}", err=True)
    sys.exit(1)
