"""Commands that bring models to this machine."""

from __future__ import annotations

from dc_hub.command.options import HubOption, ModelArgument
from dc_hub.command.printing import out, plain, progress
from dc_hub.hubs import managing


def pull(model: ModelArgument, hub: HubOption = None) -> None:
    """Fetch a model of a remote hub, so that it loads without the network.

    What has arrived stays if this is interrupted, and the next call goes on.
    """
    with progress() as report:
        source = managing.pull(model, hub=hub, report=report)
    out.print(f"[green]fetched[/]  {plain(model)}  revision {source.revision}")
    out.print(plain(str(source.path)))
