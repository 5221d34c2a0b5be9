"""The command that pins a project to revisions."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import typer

from dc_hub.command.exit_codes import NO
from dc_hub.command.options import HubOption, JsonOption, LockOption
from dc_hub.command.printing import out, plain, print_columns, print_json
from dc_hub.hubs import pins


def lock(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME[@TAG]]...", help="The models; for --check and --update, all."
        ),
    ] = None,
    file: LockOption = pins.FILE,
    check: Annotated[bool, typer.Option("--check", help="Tell whether tags have moved.")] = False,
    update: Annotated[
        bool, typer.Option("--update", help="Pin what the tags point at now.")
    ] = False,
    hub: HubOption = None,
    as_json: JsonOption = False,
) -> None:
    """Pin models to their present revisions, in the file dchub.lock.

    from_pretrained(name, lock="dchub.lock") then loads these, wherever the tags move. With --check
    the exit code is 1 if a tag has moved, or if the hub lacks a pinned revision.
    """
    if check and update:
        raise typer.BadParameter("--check and --update exclude each other.")
    if check or update:
        found = (pins.check_pins if check else pins.update_pins)(names or (), hub=hub, lock=file)
        _print_states(found, as_json)
        if check and not all(state.unchanged for state in found):
            raise typer.Exit(NO)
        return
    if not names:
        raise typer.BadParameter("Give the names to pin, or --check, or --update.")
    made = pins.pin_models(names, hub=hub, lock=file)
    if as_json:
        print_json({name: dataclasses.asdict(pin) for name, pin in made.items()})
        return
    for name, pin in made.items():
        out.print(f"[green]pinned[/]  {plain(name)}  revision {pin.revision}")


def _print_states(states: list[pins.PinState], as_json: bool) -> None:
    if as_json:
        print_json([dataclasses.asdict(s) | {"unchanged": s.unchanged} for s in states])
        return
    rows = [("model", "tag", "state")]
    rows += [(state.name, state.tag or "", _said(state)) for state in states]
    print_columns(*([row] for row in rows))


def _said(state: pins.PinState) -> str:
    if state.unchanged:
        return f"unchanged: {state.pinned[:12]}"
    if not state.available:
        return f"the hub no longer has {state.pinned[:12]}"
    if state.now is None:
        return f"the tag does not exist any more; pinned: {state.pinned[:12]}"
    return f"moved: {state.pinned[:12]} → {state.now[:12]}"
