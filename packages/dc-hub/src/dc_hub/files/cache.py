"""The folder for this user's caches, whose content can be made again."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from dc_hub.files.sizes import parse_size
from dc_hub.files.urls import local_path

VARIABLE: Final = "DEEPCHEM_CACHE"
"""The environment variable that names the folder."""

LIMIT: Final = "DEEPCHEM_CACHE_LIMIT"
"""The environment variable that limits the size of the cached models of remote hubs: ``20GB``."""


def cache_limit() -> int | None:
    """Return how many bytes cached models may take, None without a limit.

    Raises :class:`ParameterError` if the environment variable is not a size.
    """
    text = os.environ.get(LIMIT)
    return parse_size(text, what=LIMIT) if text else None


def cache_folder() -> Path:
    """Return the folder: the one that ``DEEPCHEM_CACHE`` names, or one in the user's own."""
    named = os.environ.get(VARIABLE)
    if named:
        return local_path(named)
    from platformdirs import user_cache_path

    return user_cache_path("deepchem", appauthor=False)
