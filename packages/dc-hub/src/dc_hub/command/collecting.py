"""The command that removes leftovers."""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import Annotated

import typer

from dc_hub.command.options import HubOption, JsonOption, YesOption
from dc_hub.command.printing import counted, out, print_columns, print_json
from dc_hub.files.sizes import parse_size, show_size
from dc_hub.remote import collecting
from dc_hub.remote.collecting import Garbage


def gc(
    unreferenced: Annotated[
        bool, typer.Option("--unreferenced", help="Also revisions that no tag points at.")
    ] = False,
    keep_days: Annotated[
        float, typer.Option(min=0, help="Keep revisions without tags that are younger.")
    ] = collecting.KEEP_DAYS,
    cache: Annotated[
        bool, typer.Option("--cache", help="Also cached models, which can be fetched again.")
    ] = False,
    limit: Annotated[
        str | None,
        typer.Option(metavar="SIZE", help="With --cache: keep so much of those used last, 20GB."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be removed; remove nothing.")
    ] = False,
    yes: YesOption = False,
    hub: HubOption = None,
    as_json: JsonOption = False,
) -> None:
    """Remove the leftovers of crashed processes from the hub and the cache.

    Before it removes models, it shows them and asks. Models that are being loaded stay.
    """
    if limit is not None and not cache:
        raise typer.BadParameter("--limit needs --cache.")
    collect = partial(
        collecting.gc,
        hub=hub,
        unreferenced=unreferenced,
        keep_days=keep_days,
        cache=cache,
        limit=0 if limit is None else parse_size(limit, what="--limit"),
    )
    if dry_run or ((unreferenced or cache) and not yes):
        found = collect(dry_run=True)
        if dry_run:
            _print(found, "would be removed", as_json)
            return
        models = [garbage for garbage in found if garbage.kind != "leftover"]
        if models:
            if not as_json:
                _print(models, "would be removed", as_json)
            typer.confirm(f"Remove {_total(models)}?", abort=True, err=True)
    _print(collect(), "removed", as_json)


def _print(found: list[Garbage], done: str, as_json: bool) -> None:
    if as_json:
        print_json([dataclasses.asdict(garbage) | {"path": str(garbage.path)} for garbage in found])
        return
    rows = [(g.kind, show_size(g.size), g.revision[:12], g.name or str(g.path)) for g in found]
    print_columns(*([row] for row in rows))
    out.print(f"{_total(found)} {done}")


def _total(found: list[Garbage]) -> str:
    size = show_size(sum(garbage.size for garbage in found))
    return f"{counted(len(found), 'item')}, {size}"
