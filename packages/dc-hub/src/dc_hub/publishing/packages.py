"""The packages that a model needs: their versions, and the command that installs them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from dc_core import distributions, plugins

_ALWAYS: Final = ("dc-core", "dc-hub", "numpy")

_EXTRAS: Final = frozenset({"jax", "lightgbm", "onnx", "sklearn", "tensorflow", "torch", "xgboost"})
"""The extras of dc-hub, each of which installs the package ``dc-<extra>``."""


@dataclass(frozen=True, slots=True)
class Packages:
    """The packages that a model needs: their versions, and the command that installs them.

    ``pip install "dc-hub[torch]" dc-pipeline``: frameworks come with the extras, and what else the
    named packages need is among their own requirements.
    """

    versions: Mapping[str, str]
    install: str


def packages(classes: Iterable[type], backends: Iterable[str]) -> Packages:
    """Return the packages that objects of these classes and backends need.

    They are those that define the classes and their bases, that the classes require, and that the
    backends stand on. Other packages of the environment make no difference.
    """
    versions = {name: distributions.version(name) for name in _ALWAYS}
    direct: set[str] = set()
    for cls in classes:
        found = distributions.of_class(cls)
        versions |= found
        direct |= found.keys() - set(getattr(cls, "requires", ()))
    for backend in backends:
        found = distributions.of_backend(backend)
        versions |= found | dict(plugins.backend(backend).info().versions)
        direct |= found.keys()
    return Packages(versions, _install_command(direct))


def _install_command(needed: Collection[str]) -> str:
    extras = sorted(extra for extra in _EXTRAS if f"dc-{extra}" in needed)
    others = sorted(set(needed).difference(_ALWAYS, [f"dc-{extra}" for extra in extras]))
    hub = f'"dc-hub[{",".join(extras)}]"' if extras else "dc-hub"
    return " ".join(["pip install", hub, *others])
