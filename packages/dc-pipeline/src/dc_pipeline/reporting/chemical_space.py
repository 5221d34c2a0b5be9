"""The figure of where the parts of a split are among molecules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from dc_core import Dataset, Featurizer, check_count
from dc_core.errors import DatasetError, ParameterError
from dc_pipeline.reporting.palette import MARKERS, part_colour
from dc_pipeline.reporting.plotting import new_figure, styled
from dc_pipeline.reporting.text import on_one_line
from dc_pipeline.splitters.fingerprints import (
    check_featurizer,
    fingerprints_of,
    tanimoto,
    unpacked,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Method = Literal["tsne", "pca"]
_METHODS: Final = ("tsne", "pca")
_FEWEST: Final = 5
"""Fewer molecules than that have no map."""

_ITERATIONS: Final = 500
"""How long t-SNE takes, of which the first half finds the groups: a second or two."""


@styled
def chemical_space_plot(
    parts: Mapping[str, Dataset],
    featurizer: Featurizer[str] | None = None,
    *,
    method: Method = "tsne",
    max_rows: int = 1000,
    seed: int = 0,
) -> Figure:
    """Return a map of the molecules of all ``parts``, on which similar ones are close.

    The fingerprints are those in X if that is a table of 0 and 1, and else of the SMILES by the
    ``featurizer``, ECFP4 by default. ``"tsne"`` places molecules by the Tanimoto distances to their
    neighbours (van der Maaten and Hinton 2008), so that only closeness means something; ``"pca"``
    shows the two directions in which the fingerprints differ most. If there are more than
    ``max_rows`` molecules, the same fraction of each part is drawn at random. Equal seeds give
    equal maps.

    Raises :class:`DatasetError` if fewer than five rows have a fingerprint, and
    :class:`ParameterError` for options out of range.
    """
    if method not in _METHODS:
        raise ParameterError(f"method={method!r} must be one of {', '.join(_METHODS)}.")
    check_count("max_rows", max_rows, minimum=_FEWEST)
    rng = np.random.default_rng(check_count("seed", seed, minimum=0))
    total = sum(map(len, parts.values()))
    packed: dict[str, np.ndarray] = {}
    for name, dataset in parts.items():
        share = round(len(dataset) * min(1, max_rows / max(total, 1)))
        chosen = np.sort(rng.choice(len(dataset), share, replace=False))
        if share:
            found = fingerprints_of(dataset.select(chosen), check_featurizer(featurizer))
            packed[name] = found.packed
    drawn = sum(map(len, packed.values()))
    if drawn < _FEWEST:
        raise DatasetError(f"There are {drawn} molecules; a map needs at least {_FEWEST}.")
    # Equal molecules are at one place.
    different, which = np.unique(np.concatenate(list(packed.values())), axis=0, return_inverse=True)
    bits = unpacked(different)
    places, explained = _pca(bits)
    if method == "tsne" and len(bits) >= _FEWEST:
        places = _tsne(bits, places, seed)
    places = places[which]
    x, y = ("t-SNE 1", "t-SNE 2") if method == "tsne" else ("component 1", "component 2")
    figure, axes = new_figure("Chemical space", x, y)
    axes.set_xticks([])
    axes.set_yticks([])
    starts = np.cumsum([0, *map(len, packed.values())])
    for i, name in enumerate(packed):
        part = places[starts[i] : starts[i + 1]]
        axes.plot(
            *part.T,
            MARKERS[i % len(MARKERS)],
            color=part_colour(i, len(packed)),
            markersize=3.5 if i == 0 else 5,
            markeredgewidth=0,
            alpha=0.45 if i == 0 else 0.8,
            label=f"{on_one_line(name, 30)} ({len(part):,})",
        )
    if len(packed) > 1:
        figure.legend(loc="outside lower left", ncols=3)
    sampled = f", drawn at random from {total:,}" if total > max_rows else ""
    how = (
        "by t-SNE on their Tanimoto distances: close points are similar molecules, distances "
        "between groups mean nothing"
        if method == "tsne"
        else f"by two principal components, which explain {explained:.0%} of the variance"
    )
    figure.set_label(f"{drawn:,} molecules{sampled}, placed {how}.")
    return figure


def _pca(bits: np.ndarray) -> tuple[np.ndarray, float]:
    """Return the places ``(n, 2)`` by principal components, and the variance they explain."""
    from sklearn.decomposition import PCA

    if len(bits) < 2:
        return np.zeros((len(bits), 2)), 1.0
    with _one_thread():
        model = PCA(2, svd_solver="full")
        places = model.fit_transform(bits)
    return places, float(model.explained_variance_ratio_.sum())


def _tsne(bits: np.ndarray, start: np.ndarray, seed: int) -> np.ndarray:
    """Return the places ``(n, 2)`` by t-SNE, which starts from ``start``."""
    from sklearn.manifold import TSNE

    with _one_thread():
        distances = np.clip(1 - tanimoto(bits, bits), 0, 1)
        model = TSNE(
            perplexity=min(30.0, (len(bits) - 1) / 3),
            metric="precomputed",
            init=(1e-4 * start / start[:, 0].std()).astype(np.float32),
            max_iter=_ITERATIONS,
            random_state=seed,
        )
        return np.asarray(model.fit_transform(distances))


def _one_thread() -> Any:
    """Compute in one thread: several add up in the order in which they end."""
    try:
        from threadpoolctl import threadpool_limits
    except ModuleNotFoundError as error:
        raise ParameterError(
            "Maps need threadpoolctl.", hint='Run: pip install "dc-pipeline[plots]"'
        ) from error
    return threadpool_limits(1)
