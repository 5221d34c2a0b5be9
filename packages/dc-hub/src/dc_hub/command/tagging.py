"""Commands that list, set, move and delete tags."""

from __future__ import annotations

import typer

from dc_hub.command.options import (
    ExpectedOption,
    HubOption,
    JsonOption,
    NameArgument,
    TagArgument,
    TargetArgument,
    YesOption,
)
from dc_hub.command.printing import out, plain, print_columns, print_json
from dc_hub.hubs import managing
from dc_hub.hubs.contract import MAIN


def list_tags(name: NameArgument, hub: HubOption = None, as_json: JsonOption = False) -> None:
    """List the tags and the revisions they point at."""
    found = managing.list_tags(name, hub=hub)
    if as_json:
        print_json(found)
    else:
        print_columns(*([pair] for pair in found.items()))


def set_tag(
    target: TargetArgument, tag: TagArgument, hub: HubOption = None, as_json: JsonOption = False
) -> None:
    """Point a new tag at a revision."""
    _print_tag(tag, managing.set_tag(target, tag, hub=hub).revision, as_json)


def move_tag(
    target: TargetArgument,
    tag: TagArgument,
    expected: ExpectedOption = None,
    hub: HubOption = None,
    as_json: JsonOption = False,
) -> None:
    """Move a tag to another revision.

    It is not moved if another process moves it meanwhile.
    """
    moved = managing.move_tag(target, tag, hub=hub, expected=expected)
    _print_tag(tag, moved.revision, as_json)


def delete_tag(
    name: NameArgument,
    tag: TagArgument,
    expected: ExpectedOption = None,
    yes: YesOption = False,
    hub: HubOption = None,
) -> None:
    """Delete a tag; its revision is kept.

    Without the tag main, the name of the model alone refers to nothing, so this asks first.
    """
    if tag == MAIN and not yes:
        question = f"Delete the tag {MAIN}, which {name} without a revision refers to?"
        typer.confirm(question, abort=True, err=True)
    managing.delete_tag(name, tag, hub=hub, expected=expected, force=True)
    out.print(f"[green]deleted[/]  {plain(tag)}")


def _print_tag(tag: str, revision: str, as_json: bool) -> None:
    if as_json:
        print_json({tag: revision})
        return
    out.print(f"{plain(tag)} → {revision}")
