"""Commands that change a hub: publish and remove models, write its index."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import typer

from dc_hub.command.options import HubOption, JsonOption, YesOption
from dc_hub.command.printing import counted, out, plain, print_json
from dc_hub.hubs import managing
from dc_hub.hubs.catalogue import write_index
from dc_hub.hubs.locating import in_hub
from dc_hub.hubs.reference import parse
from dc_hub.publishing import directories


def publish(
    directory: Annotated[str, typer.Argument(help="A model directory, as dc_hub.save writes it.")],
    name: Annotated[str, typer.Argument(help="Its name in the hub: 'net' or 'lab/net'.")],
    tag: Annotated[
        list[str] | None, typer.Option(help="A tag to point at this revision; repeat for more.")
    ] = None,
    move_main: Annotated[bool, typer.Option(help="Move the tag 'main' too, or leave it.")] = True,
    sign: Annotated[
        str | None, typer.Option(metavar="KEY", help="Sign it with this key, by name or file.")
    ] = None,
    hub: HubOption = None,
    as_json: JsonOption = False,
) -> None:
    """Publish a model directory to a hub.

    Every file is verified first. The tag 'main' moves to the new revision, and so does each --tag.
    """
    published = directories.publish_directory(
        directory, name, hub=hub, tag=tag or (), move_main=move_main, sign=sign
    )
    if as_json:
        print_json(dataclasses.asdict(published))
        return
    out.print(f"[green]published[/]  {plain(name)}  revision {published.revision}")
    out.print(plain(str(published.path)))


def rm(
    model: Annotated[
        str, typer.Argument(metavar="NAME[@REVISION]", help="A model, or one revision of it.")
    ],
    remove_tags: Annotated[
        bool,
        typer.Option("--remove-tags", help="Delete the tags that point at the revision as well."),
    ] = False,
    yes: YesOption = False,
    hub: HubOption = None,
    as_json: JsonOption = False,
) -> None:
    """Remove a model, or one revision of it.

    A name alone removes all revisions and all tags of the model. A revision that tags point at is
    removed only with --remove-tags.
    """
    if not yes:
        _confirm_removal(model, hub)
    removed = managing.rm(model, hub=hub, remove_tags=remove_tags)
    if as_json:
        print_json(removed)
        return
    for revision in removed:
        out.print(f"[green]removed[/]  {plain(model)}  revision {revision}")


def _confirm_removal(model: str, hub: HubOption) -> None:
    """List the removals, and abort unless the user confirms them."""
    if parse(model).directory is None:
        reference, where = in_hub(model, hub)
        if reference.revision is not None:
            target = where.resolve(reference.name, reference.revision).revision
            question = f"Remove revision {target} of {reference.name}?"
        else:
            revisions, tagged = where.revisions(reference.name), where.tags(reference.name)
            count = counted(len(revisions), "revision")
            question = f"Remove {reference.name}: {count}, tags {', '.join(tagged) or 'none'}?"
        typer.confirm(question, abort=True, err=True)


def index(
    hub: Annotated[
        str, typer.Argument(help="The hub: a directory that a web server serves, or a bucket.")
    ],
    as_json: JsonOption = False,
) -> None:
    """Write index.json, which readers on the web need to list and search a hub."""
    path = write_index(hub)
    if as_json:
        print_json({"path": path})
        return
    out.print(plain(path))
