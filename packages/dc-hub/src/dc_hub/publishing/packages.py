"""The packages that a model needs: their versions, and the command that installs them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from dc_core import distributions, plugins

_ALWAYS: Final = ("dc-core", "dc-hub", "numpy")

_EXTRAS: Final = frozenset({"jax", "sklearn", "tensorflow", "torch", "xgboost"})
"""The extras of dc-hub, each of which installs the package ``dc-<extra>``."""


def versions(classes: Iterable[type], backends: Iterable[str]) -> dict[str, str]:
    """Return the versions of the packages that objects of these classes and backends need.

    They are those that define the classes and their bases, that the classes require, and that the
    backends stand on; other packages of the environment make no difference.
    """
    found = {name: distributions.version(name) for name in _ALWAYS}
    for cls in classes:
        found |= distributions.of_class(cls)
    for backend in backends:
        found |= distributions.of_backend(backend) | dict(plugins.backend(backend).info().versions)
    return found


def install_command(classes: Iterable[type], backends: Iterable[str]) -> str:
    """Return the command that installs what loading such objects needs.

    ``pip install "dc-hub[torch]" dc-pipeline``: frameworks come with the extras, and whatever else
    the packages stand on is among their own requirements.
    """
    needed: set[str] = set()
    for cls in classes:
        needed |= distributions.of_class(cls).keys() - set(getattr(cls, "requires", ()))
    for backend in backends:
        needed |= distributions.of_backend(backend).keys()
    extras = sorted(extra for extra in _EXTRAS if f"dc-{extra}" in needed)
    others = sorted(needed.difference(_ALWAYS, [f"dc-{extra}" for extra in extras]))
    hub = f'"dc-hub[{",".join(extras)}]"' if extras else "dc-hub"
    return " ".join(["pip install", hub, *others])
