"""Commands that bring models to this machine."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import typer

from dc_hub.command.options import HubOption, JsonOption, OptionalLockOption
from dc_hub.command.printing import out, plain, print_json, progress, telling
from dc_hub.hubs import managing, pins


def pull(
    models: Annotated[
        list[str] | None, typer.Argument(metavar="[MODEL]...", help="Names, or name@revision.")
    ] = None,
    lock: OptionalLockOption = None,
    hub: HubOption = None,
    as_json: JsonOption = False,
) -> None:
    """Fetch models of a remote hub, so that they load without the network.

    Every file is verified. What has arrived stays if this is interrupted, and the next call goes
    on; what other models in the cache have is copied from them, which is told at a terminal. With
    --lock, all models that the file pins are fetched.
    """
    if bool(models) == (lock is not None):
        raise typer.BadParameter("Give the models, or --lock.")
    with telling(), progress() as report:
        if models:
            found = [managing.pull(model, hub=hub, report=report) for model in models]
        else:
            found = pins.pull_pins(hub=hub, lock=lock or pins.FILE, report=report)
    if as_json:
        print_json([dataclasses.asdict(source) for source in found])
        return
    for name, source in zip(models or [one.name for one in found], found, strict=True):
        out.print(f"[green]fetched[/]  {plain(name)}  revision {source.revision}")
        out.print(plain(str(source.path)))
