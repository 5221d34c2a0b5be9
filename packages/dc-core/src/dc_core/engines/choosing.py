"""Choose an engine: by name, as an object, or by a client of a cluster that the user has."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any, Final

from dc_core import plugins
from dc_core.engines.contract import Engine
from dc_core.engines.processes import Processes
from dc_core.engines.serial import Serial
from dc_core.errors import ParameterError

_BUILT_IN: Final[dict[str, type[Engine]]] = {"serial": Serial, "processes": Processes}


def engine(name: str, **options: Any) -> Engine:
    """Return a new engine: ``serial``, ``processes`` or that of an installed plugin.

    ``options`` are those of the engine. Raises :class:`EngineNotInstalled` for a known engine whose
    package is not installed, and :class:`ParameterError` for an unknown name.
    """
    if name in _BUILT_IN:
        return _BUILT_IN[name](**options)
    known = [*_BUILT_IN, *plugins.ENGINES.known, *plugins.ENGINES.entries]
    if name not in known:
        near = get_close_matches(name, known, 1)
        raise ParameterError(
            f"There is no engine {name!r}.",
            hint=f"Did you mean {near[0]!r}?"
            if near
            else f"There are: {', '.join(sorted({*known}))}.",
        )
    return _checked(name, plugins.make_engine(name, options))


def as_engine(engine_or_client: Any) -> Engine:
    """Return the engine that is given by name, as itself, or as a client of a cluster.

    Raises :class:`ParameterError` if no engine recognizes the object.
    """
    if isinstance(engine_or_client, str):
        return engine(engine_or_client)
    if isinstance(engine_or_client, Engine):
        return engine_or_client
    found = plugins.engine_for(engine_or_client)
    if found is None:
        raise ParameterError(
            f"No installed engine recognizes a {type(engine_or_client).__name__}.",
            hint="Give the name of an engine, an Engine, or a client of Ray or Dask "
            "(pip install dc-ray, pip install dc-dask).",
        )
    name, made = found
    return _checked(name, made)


def _checked(name: str, made: Any) -> Engine:
    if not isinstance(made, Engine):
        error = TypeError(f"it returned a {type(made).__name__}, not a dc_core.engines.Engine")
        raise plugins.ENGINES.broken(name, error)
    return made
