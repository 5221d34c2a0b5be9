"""Warnings: typed, and issued by one function, so that they point at the user's own line."""

from __future__ import annotations

import sys
import warnings


class DCWarning(UserWarning):
    """Root of every warning of this project."""


class PluginWarning(DCWarning):
    """An installed plugin is ignored because another distribution owns its name."""


def warn(message: str, category: type[Warning] = DCWarning) -> None:
    """Issue a warning at the nearest caller outside the project's packages (``dc_*``)."""
    frame, level = sys._getframe(), 1
    while frame.f_back and frame.f_globals.get("__name__", "").startswith("dc_"):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)
