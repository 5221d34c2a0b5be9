"""Commands that show a hub to people in a browser."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import typer

from dc_hub.command.options import NO, JsonOption
from dc_hub.command.printing import counting, err, out, plain, print_json
from dc_hub.site.writing import write_site

HubArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="[HUB]", help="The hub: a directory, or the URL of one.", show_default=False
    ),
]
TitleOption = Annotated[str, typer.Option(help="The title of the pages.")]


def site(
    directory: Annotated[
        str, typer.Option("--out", "-o", metavar="DIRECTORY", help="Where the pages go.")
    ],
    hub: HubArgument = None,
    title: TitleOption = "Models",
    address: Annotated[
        str, typer.Option(metavar="URL", help="Where readers of the pages reach the hub.")
    ] = "",
    as_json: JsonOption = False,
) -> None:
    """Write a hub as pages for people.

    They need no server and load nothing from elsewhere. The directory must be new, empty, or that
    of an earlier site, which is replaced. The exit code is 1 if a model could not be read; its page
    says why.
    """
    with counting("writing pages") as report:
        written = write_site(hub, to=directory, title=title, address=address, report=report)
    if as_json:
        print_json(dataclasses.asdict(written))
    else:
        out.print(f"[green]written[/]  {written.models:,} models")
        out.print(plain(str(written.path / "index.html")))
        for name in written.unreadable:
            err.print(f"[yellow]warning[/]: {plain(name)} cannot be read; its page says why")
    if written.unreadable:
        raise typer.Exit(NO)
