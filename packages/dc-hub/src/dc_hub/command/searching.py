"""The command that searches a hub."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import typer

from dc_hub.command.exit_codes import NO
from dc_hub.command.options import HubOption, JsonOption
from dc_hub.command.printing import out, plain, print_columns, print_json
from dc_hub.inspecting import searching


def search(
    words: Annotated[
        list[str] | None,
        typer.Argument(help="Words in the name, class, task, dataset or description."),
    ] = None,
    task: Annotated[str | None, typer.Option(help="Such as 'regression'.")] = None,
    backend: Annotated[str | None, typer.Option(help="Such as 'torch'.")] = None,
    cls: Annotated[
        str | None, typer.Option("--class", help="A registered class, or its last part.")
    ] = None,
    licence: Annotated[str | None, typer.Option(help="Such as 'MIT'.")] = None,
    dataset: Annotated[
        str | None, typer.Option(help="A part of its name, or 12 digits of its digest.")
    ] = None,
    metric: Annotated[
        list[str] | None, typer.Option(help="A bound, such as 'rmse<1.0'; repeat for more.")
    ] = None,
    derived_from: Annotated[
        str | None, typer.Option(metavar="MODEL", help="A model that it was made from.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="The maximum number of models.")] = 50,
    hub: HubOption = None,
    as_json: JsonOption = False,
) -> None:
    """Search the models of a hub, the most relevant first.

    The exit code is 1 if there is none. A hub on the web or in a bucket needs an index: see
    `dc-hub index`.
    """
    found = searching.search(
        " ".join(words or ()),
        hub=hub,
        task=task,
        backend=backend,
        cls=cls,
        licence=licence,
        dataset=dataset,
        metrics=metric or (),
        derived_from=derived_from,
        limit=limit,
    )
    if as_json:
        print_json([dataclasses.asdict(summary) for summary in found])
    elif found:
        print_columns(*([row] for row in (searching.HEADER, *map(searching.table_row, found))))
    else:
        out.print(plain("No model matches."))
    if not found:
        raise typer.Exit(NO)
