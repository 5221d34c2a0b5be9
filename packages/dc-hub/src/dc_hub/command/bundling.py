"""Commands for sites without a network: models in one file, and back into a hub."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import typer

from dc_hub.command.options import HubOption, JsonOption
from dc_hub.command.printing import out, plain, print_columns, print_json, progress
from dc_hub.files.sizes import show_size
from dc_hub.publishing import bundles


def bundle(
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="FILE", help="The bundle to write: site.tar.")
    ],
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME[@REVISION]]...", help="The models.")
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="The whole hub: all models, revisions and tags.")
    ] = False,
    hub: HubOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write models into one file, which `dc-hub unbundle` publishes elsewhere.

    The tag that names a revision (main, if none is given) is included. Equal models make equal
    bundles.
    """
    if bool(names) == everything:
        raise typer.BadParameter("Give the models, or --all.")
    with progress() as report:
        path = bundles.bundle(names or (), output, hub=hub, everything=everything, report=report)
    if as_json:
        print_json({"path": str(path)})
        return
    out.print(plain(str(path)))


def unbundle(
    path: Annotated[str, typer.Argument(metavar="FILE", help="The bundle.")],
    hub: HubOption = None,
    only_list: Annotated[
        bool, typer.Option("--list", help="Show what is in the bundle, and store nothing.")
    ] = False,
    move_tags: Annotated[
        bool, typer.Option("--move-tags", help="Move tags that point at other revisions.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Publish the models of a bundle to a hub, verified, with their tags."""
    if only_list:
        _list(path, as_json)
        return
    with progress() as report:
        stored = bundles.unbundle(path, hub=hub, move_tags=move_tags, report=report)
    if as_json:
        print_json([{"name": model.name, "revision": model.revision} for model in stored])
        return
    for model in stored:
        out.print(f"[green]published[/]  {plain(model.name)}  revision {model.revision}")


def _list(path: str, as_json: bool) -> None:
    found = bundles.list_bundle(path)
    if as_json:
        print_json([dataclasses.asdict(bundled) for bundled in found])
        return
    rows = [("model", "revision", "size", "tags")]
    for bundled in found:
        signed = ", signed" if bundled.signed else ""
        shown = f"{', '.join(bundled.tags) or 'none'}{signed}"
        rows.append((bundled.name, bundled.revision[:12], show_size(bundled.size), shown))
    print_columns(*([row] for row in rows))
