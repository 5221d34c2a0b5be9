"""The command that shows a model's lineage."""

from __future__ import annotations

import dataclasses

from dc_hub.command.options import HubOption, JsonOption, ModelArgument
from dc_hub.command.printing import out, plain, print_columns, print_json
from dc_hub.inspecting import ancestry
from dc_hub.inspecting.ancestry import Relative


def lineage(model: ModelArgument, hub: HubOption = None, as_json: JsonOption = False) -> None:
    """Show the ancestors and descendants of a model.

    Models that the hub does not have are shown as missing, and those without the signatures that
    the trust policy requires as not trusted.
    """
    found = ancestry.lineage(model, hub=hub)
    if as_json:
        print_json(
            {
                "model": dataclasses.asdict(found.model),
                "ancestors": [dataclasses.asdict(one) for one in found.ancestors.values()],
                "descendants": [dataclasses.asdict(one) for one in found.descendants.values()],
                "complete": found.complete,
            }
        )
        return
    print_columns(
        [_row("", found.model)],
        (
            _row(f"{'   ' * (depth - 1)}← ", one, again)
            for depth, one, again in ancestry.tree(found, up=True)
        ),
        (
            _row(f"{'   ' * (depth - 1)}→ ", one, again)
            for depth, one, again in ancestry.tree(found, up=False)
        ),
    )
    if not found.complete:
        out.print(plain("Not all: the hub has no index, or there are too many."), style="dim")


def _row(lead: str, one: Relative, again: bool = False) -> tuple[str, str, str]:
    name = one.name or "a directory"
    return f"{lead}{name}", one.revision[:12], "see above" if again else one.notes
