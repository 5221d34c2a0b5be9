"""The publisher's facts about a model, as metadata: metrics, dataset, licence, origins."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import numpy as np

from dc_core import Dataset, dataset_digest
from dc_hub.errors import ParamsError
from dc_hub.format import strict_json
from dc_hub.format.summary import METRIC_PARTS, Score, read_origins, score_to_json
from dc_hub.hubs.contract import StoredModel, is_digest

_LICENCE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+() -]{0,99}")

Resolve = Callable[[str], StoredModel]
"""Finds the model that a name means."""


def with_facts(
    metadata: Mapping[str, Any] | None,
    resolve: Resolve,
    *,
    metrics: Mapping[str, Any] | None,
    dataset: Any,
    licence: str | None,
    derived_from: Any,
) -> dict[str, Any]:
    """Return ``metadata`` with the facts that the arguments of :func:`publish` add.

    ``resolve`` finds models that are named without a digest. Raises :class:`ParamsError` for an
    argument that cannot be what it should, and for one that ``metadata`` gives too.
    """
    given = {
        "metrics": None if metrics is None else _metrics(metrics),
        "dataset": None if dataset is None else _datasets(dataset),
        "licence": None if licence is None else _licence(licence),
        "derived_from": None if derived_from is None else _origins(derived_from, resolve),
    }
    facts = {key: value for key, value in given.items() if value is not None}
    known = plain(metadata or {})
    twice = sorted(facts.keys() & known.keys())
    if twice:
        raise ParamsError(
            f"{twice[0]} is given both as an argument and in metadata.",
            path=twice[0],
            hint="Give it once.",
        )
    return {**known, **facts}


def plain(value: Any, depth: int = strict_json.MAX_DEPTH) -> Any:
    """Return metadata as JSON: NumPy's numbers as Python's, tuples as lists.

    What is nested deeper than ``depth`` is left as it is; writing refuses it.
    """
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Mapping) and depth:
        return {key: plain(item, depth - 1) for key, item in value.items()}
    if isinstance(value, list | tuple) and depth:
        return [plain(item, depth - 1) for item in value]
    return value


def _metrics(value: Any, where: str = "metrics", depth: int = METRIC_PARTS) -> Any:
    """Return scores as JSON: numbers, and objects with ``value`` and bounds."""
    if isinstance(value, Mapping):
        if not depth:
            raise ParamsError(
                f"{where} is nested more than {METRIC_PARTS} deep.",
                path=where,
                hint='Give scores by name, or by part and name: {"test": {"rmse": 0.6}}.',
            )
        for name in value:
            if not isinstance(name, str) or not name:
                raise ParamsError(
                    f"{where} has the name {name!r}.", path=where, hint="Name metrics by texts."
                )
        return {name: _metrics(item, f"{where}.{name}", depth - 1) for name, item in value.items()}
    if where == "metrics":
        raise ParamsError(
            f"metrics={value!r} are not scores by name.",
            path=where,
            hint='Give what evaluate() returned, or {"test": {"rmse": 0.6}}.',
        )
    if hasattr(value, "value") and hasattr(value, "low") and hasattr(value, "high"):
        bounds = (_bound(getattr(value, name, None), where) for name in ("low", "high", "level"))
        return score_to_json(Score(_number(value.value, where), *bounds))
    return _number(value, where)


def _bound(value: Any, where: str) -> float | None:
    """Return the bound of an interval; None for one that is not known or not finite."""
    if value is None or (isinstance(value, float | np.floating) and not math.isfinite(value)):
        return None
    return float(_number(value, where))


def _number(value: Any, where: str) -> float:
    number = value.item() if isinstance(value, np.generic) else value
    if isinstance(number, bool) or not isinstance(number, int | float) or not math.isfinite(number):
        raise ParamsError(
            f"{where}={value!r} is not a score.",
            path=where,
            hint="Give finite numbers, or intervals with value, low and high; leave out the rest.",
        )
    return number


def _datasets(value: Any) -> Any:
    """Return a dataset, or a list of datasets, as JSON."""
    many = isinstance(value, list) and value
    return [_dataset(item) for item in value] if many else _dataset(value)


def _dataset(value: Any) -> Any:
    """Return a dataset as JSON: its name, or an object with its digest too."""
    match value:
        case str() if value.strip():
            return value
        case Dataset():
            return {"rows": len(value), "sha256": dataset_digest(value)}
        case (str() as name, Dataset() as rows) if name.strip():
            return {"name": name, "rows": len(rows), "sha256": dataset_digest(rows)}
        case {"name": str(), **others} if set(others) <= {"sha256", "rows"}:
            digest = others.get("sha256")
            if digest is None or (isinstance(digest, str) and is_digest(digest)):
                return plain(value)
    raise ParamsError(
        f"dataset={value!r:.200} does not name a dataset.",
        path="dataset",
        hint='Give its name, a dataset, ("name", dataset), or {"name": …, "sha256": "<64 hex>"}.',
    )


def _licence(value: Any) -> str:
    if not isinstance(value, str) or not _LICENCE.fullmatch(value):
        raise ParamsError(
            f"licence={value!r:.200} is not the identifier of a licence.",
            path="licence",
            hint="Give an SPDX identifier, such as 'MIT' or 'Apache-2.0'.",
        )
    return value


def _origins(value: Any, resolve: Resolve) -> list[str]:
    """Return origins as ``name@digest``; a name without a digest is looked up."""
    many = isinstance(value, Iterable) and not isinstance(value, str)
    return list(dict.fromkeys(_origin(item, resolve) for item in (value if many else [value])))


def _origin(value: Any, resolve: Resolve) -> str:
    if isinstance(value, StoredModel):
        link = f"{value.name}@{value.revision}"
    elif isinstance(value, str) and is_digest(value.rpartition("@")[2]):
        link = value if "@" in value else f"@{value}"
    elif isinstance(value, str) and value:
        found = resolve(value)
        link = f"{found.name}@{found.revision}"
    else:
        link = ""
    if not read_origins(link):
        raise ParamsError(
            f"derived_from={value!r:.200} does not name a model.",
            path="derived_from",
            hint="Give the name of a model, 'name@<64 hex>', or what publish() returned.",
        )
    return link
