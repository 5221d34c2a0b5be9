"""The command that checks the installation."""

from __future__ import annotations

import dataclasses
from typing import Final

import typer

from dc_hub.command.exit_codes import NO
from dc_hub.command.options import HubOption, JsonOption
from dc_hub.command.printing import out, plain, print_json
from dc_hub.inspecting import diagnosis

_COLOR: Final = {"good": "green", "absent": "dim", "wrong": "red"}


def doctor(hub: HubOption = None, as_json: JsonOption = False) -> None:
    """Look at versions, the hub, the trust policy, the cache and all plugins.

    The exit code is 1 if something is wrong. What is absent, such as a backend that is not
    installed, is not wrong.
    """
    found = diagnosis.diagnose(hub=hub)
    if as_json:
        print_json([dataclasses.asdict(finding) for finding in found])
    else:
        for finding in found:
            color = _COLOR[finding.status]
            out.print(
                f"[{color}]{finding.status:6}[/]  {plain(finding.subject)}: {plain(finding.text)}"
            )
            if finding.hint and finding.status == "wrong":
                out.print(f"        {plain(finding.hint)}", style="dim")
    if any(finding.status == "wrong" for finding in found):
        raise typer.Exit(NO)
