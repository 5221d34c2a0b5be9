"""The command that prints and changes model cards."""

from __future__ import annotations

import dataclasses
import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated, Final

import typer

from dc_core import escape_controls
from dc_hub.command.exit_codes import NO
from dc_hub.command.options import HubOption, JsonOption, ModelArgument
from dc_hub.command.printing import out, plain, print_json
from dc_hub.errors import FileMissing, HubError
from dc_hub.publishing import editing

_EDITOR: Final = "notepad" if os.name == "nt" else "vi"


def card(
    model: ModelArgument,
    edit: Annotated[bool, typer.Option("--edit", help="Open the card in your editor.")] = False,
    text: Annotated[
        str | None,
        typer.Option("--set", metavar="FILE", help="Take the card from a file; - is the input."),
    ] = None,
    tag: Annotated[
        list[str] | None, typer.Option(help="A tag to point at the new revision; repeat for more.")
    ] = None,
    hub: HubOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print the card of a model, or change it with --edit or --set.

    A changed card is a new revision with the same weights, and 'main' moves to it if it pointed at
    the old one. The part of the card between two comments is dc-hub's, and stays as it is.
    """
    if edit and text is not None:
        raise typer.BadParameter("--edit and --set exclude each other.")
    if text is not None:
        _change(model, _read(text), tag, hub, as_json)
    elif edit:
        before = editing.card(model, hub=hub)
        after = _edited(before)
        if after == before:
            out.print("The card was not changed.")
            raise typer.Exit(NO)
        _change(model, after, tag, hub, as_json)
    elif as_json:
        print_json(editing.card(model, hub=hub))
    else:
        lines = editing.card(model, hub=hub).split("\n")
        # Whole, unlike other commands: it may go into a file, to be edited. Its size is limited.
        out.file.write("\n".join(map(escape_controls, lines)))


def _change(model: str, text: str, tag: list[str] | None, hub: HubOption, as_json: bool) -> None:
    stored = editing.set_card(model, text, hub=hub, tag=tag or ())
    if as_json:
        print_json(dataclasses.asdict(stored))
        return
    out.print(f"[green]changed[/]  {plain(model)}  revision {stored.revision}")


def _edited(text: str) -> str:
    """Return ``text`` as the user edited it in the editor that the environment names."""
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or _EDITOR
    with tempfile.TemporaryDirectory(prefix="dc-hub-") as folder:
        file = Path(folder, "README.md")
        file.write_text(text, encoding="utf-8")
        try:
            subprocess.run([*shlex.split(editor), file], check=True)
        except (OSError, subprocess.CalledProcessError) as error:
            raise HubError(
                f"The editor {editor!r} failed: {error}.",
                hint="Set EDITOR, or give the card with --set FILE. Nothing was changed.",
            ) from error
        return file.read_text(encoding="utf-8")


def _read(name: str) -> str:
    if name == "-":
        return sys.stdin.read()
    try:
        return Path(name).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise FileMissing(f"{name} cannot be read: {error}.", path=name) from error
