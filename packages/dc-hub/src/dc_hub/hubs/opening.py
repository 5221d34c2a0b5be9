"""Which hub to use, and how the hub at a path or URL is opened.

The hub is the ``hub=`` argument, else the environment variable ``DEEPCHEM_MODEL_HUB``, else a
directory in the user's data folder. A hub that fails is an error; no other is tried.
"""

from __future__ import annotations

import os
from typing import Any, Final

from dc_core import explained, plugins
from dc_core.errors import BackendNotInstalled, ParameterError
from dc_hub.errors import HubUnavailable
from dc_hub.files.urls import scheme_of, without_secrets
from dc_hub.hubs.contract import Hub, HubLike
from dc_hub.hubs.local import LocalHub

VARIABLE: Final = "DEEPCHEM_MODEL_HUB"
"""The environment variable that names the hub to use."""


@explained
def open_hub(hub: HubLike = None, **options: Any) -> Hub:
    """Return the hub to use: ``hub`` itself, the one at a path or URL, or the default one.

    The default is the one that ``DEEPCHEM_MODEL_HUB`` names, or else the directory ``deepchem/hub``
    in the user's data folder. A ``file://`` URL is the path of a directory on this machine. Hubs at
    URLs of other schemes are plugins, which take the ``options``. Raises :class:`HubUnavailable` if
    there is none for the scheme.
    """
    if hub is None:
        hub = os.environ.get(VARIABLE) or None
    if hub is None:
        from platformdirs import user_data_path

        _check_none(options, "A hub in a directory")
        return LocalHub(user_data_path("deepchem", appauthor=False) / "hub")
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
