"""Commands that show a hub to people in a browser."""

from __future__ import annotations

import dataclasses
from contextlib import suppress
from typing import Annotated

import typer

from dc_hub.command.exit_codes import NO
from dc_hub.command.options import JsonOption
from dc_hub.command.printing import counted, counting, err, out, plain, print_json
from dc_hub.errors import HubUnavailable
from dc_hub.site.serving import HOST, PORT, HubServer
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
        str, typer.Option("--output", "-o", metavar="DIRECTORY", help="Where the pages go.")
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
        out.print(f"[green]written[/]  {counted(written.models, 'model')}")
        out.print(plain(str(written.path / "index.html")))
        for name in written.unreadable:
            err.print(f"[yellow]warning[/]: {plain(name)} cannot be read; its page says why")
    if written.unreadable:
        raise typer.Exit(NO)


def serve(
    hub: HubArgument = None,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="The port; 0 takes one that is free.")
    ] = PORT,
    title: TitleOption = "Models",
) -> None:
    """Show a hub in a browser of this machine.

    The same address serves its files, read-only: from_pretrained(name, hub=ADDRESS) loads from it.
    Ctrl-C ends it. Other machines cannot connect: for them, let a web server serve the pages that
    `dc-hub site` writes, and the directory of the hub.
    """
    try:
        server = HubServer(hub, port, title=title)
    except OSError as error:
        raise HubUnavailable(
            f"{HOST}:{port} cannot be served: {error.strerror}.",
            path=f"{HOST}:{port}",
            hint="Another program may use it: give another --port, or 0 for one that is free.",
        ) from error
    with server:
        out.print(f"[green]serving[/]  {server.url}")
        out.file.flush()
        with suppress(KeyboardInterrupt):
            server.serve_forever(0.2)
