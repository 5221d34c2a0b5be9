"""Which hub to use, and how the hub at a path or URL is opened.

The hub is the ``hub=`` argument, else the environment variable ``DEEPCHEM_MODEL_HUB``, else a
directory in the user's data folder. Each of the first two may name several hubs in order, see
:mod:`dc_hub.hubs.several`. A hub that fails is an error; no other is tried.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, Final

from dc_core import explained, plugins
from dc_core.errors import BackendNotInstalled, ParameterError
from dc_hub.errors import HubUnavailable
from dc_hub.files.urls import scheme_of, without_secrets
from dc_hub.hubs.contract import Hub, HubLike
from dc_hub.hubs.local import LocalHub
from dc_hub.hubs.several import HubsInOrder

VARIABLE: Final = "DEEPCHEM_MODEL_HUB"
"""The environment variable that names the hub to use, or several, separated by ``;``."""


@explained
def open_hub(hub: HubLike = None, **options: Any) -> Hub:
    """Return the hub to use: ``hub`` itself, the one at a path or URL, or the default one.

    The default is what ``DEEPCHEM_MODEL_HUB`` names, or else the directory ``deepchem/hub`` in the
    user's data folder. Several hubs in order (``hub=[a, b]``, in the variable ``a;b``) are one hub:
    the first that has a name answers for it, and publishing goes to the first of all.

    A ``file://`` URL is the path of a directory on this machine. Hubs at URLs of other schemes are
    plugins, which take the ``options``. Raises :class:`HubUnavailable` if there is none for the
    scheme.
    """
    if hub is None:
        named = os.environ.get(VARIABLE, "").split(";")
        hub = [path for path in map(str.strip, named) if path] or None
    if hub is None:
        from platformdirs import user_data_path

        _check_none(options, "A hub in a directory")
        return LocalHub(user_data_path("deepchem", appauthor=False) / "hub")
    if isinstance(hub, Sequence) and not isinstance(hub, str):
        if len(hub) == 1:
            return open_hub(hub[0], **options)
        _check_none(options, "A list of hubs")
        return HubsInOrder(map(open_hub, hub))
    if not isinstance(hub, str | os.PathLike):
        if not isinstance(hub, Hub):
            raise HubUnavailable(
                f"{hub!r} is not a hub.", path=repr(hub), hint="Give a directory, or a Hub."
            )
        _check_none(options, "A hub that is open")
        return hub
    scheme = scheme_of(hub)
    if scheme in ("", "file"):
        _check_none(options, "A hub in a directory")
        return LocalHub(hub)
    return _remote(scheme, os.fspath(hub), options)


def _check_none(options: dict[str, Any], what: str) -> None:
    if options:
        raise ParameterError(f"{what} has no option {min(options)!r}.", hint="Leave it out.")


def _remote(scheme: str, url: str, options: dict[str, Any]) -> Hub:
    shown = without_secrets(url)
    try:
        opened = plugins.open_hub(scheme, url, options)
    except BackendNotInstalled as error:
        raise HubUnavailable(
            f"{scheme}:// is not supported: {shown!r}.",
            path=shown,
            hint=error.hint or "Give a path on this machine, or its file:// URL.",
        ) from error
    if not isinstance(opened, Hub):
        raise HubUnavailable(
            f"The plugin for {scheme}:// returned {opened!r}, which is not a hub.", path=shown
        )
    return opened
