"""The plugin of ``dc.pretrained``: implements ``to_pretrained`` and ``from_pretrained``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dc_core import Model, hookimpl
from dc_core.training import CheckpointStore
from dc_hub.errors import ParamsError
from dc_hub.hubs.reference import parse
from dc_hub.loading.models import from_pretrained
from dc_hub.publishing.checkpoints import open_checkpoints
from dc_hub.publishing.models import publish, save


@hookimpl
def dc_publish(model: Any, where: Any, options: Mapping[str, Any]) -> Any:
    """Publish ``model`` to a hub under the name ``where``, or save it to the directory."""
    reference = parse(where)
    if reference.directory is not None:
        for option in ("hub", "tag", "move_main"):
            if option in options:
                raise ParamsError(
                    f"{reference.directory} is a directory, for which {option}= has no meaning.",
                    path=option,
                    hint=f"Leave {option}= out, or give the name of a model in a hub.",
                )
        return save(model, reference.directory, **options)
    return publish(model, where, **options)


@hookimpl
def dc_fetch(cls: type[Model], name: Any, options: Mapping[str, Any]) -> Model:
    """Return the stored model ``name`` of class ``cls``."""
    return from_pretrained(name, cls=cls, **options)


@hookimpl
def dc_checkpoints(where: Any, options: Mapping[str, Any]) -> CheckpointStore:
    """Return the store of the checkpoints in a directory, or of a model in a hub."""
    return open_checkpoints(where, options)
