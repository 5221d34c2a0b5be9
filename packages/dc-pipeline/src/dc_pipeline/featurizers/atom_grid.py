"""``AtomGrid``: from atoms in space to densities on a grid around a pocket, by batch."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, Final, Self

import numpy as np
from rdkit import Chem

from dc_core import Batch, Dataset, MappedDataset, Ragged, Transformer, check_count, check_dataset
from dc_core.errors import DatasetError, ParameterError
from dc_pipeline.metrics import checks

_COLUMNS: Final = (("elements", "coordinates"), ("numbers", "positions"))
"""The names of the columns of atomic numbers and positions, as loaders and Conformer give them."""

_EXTENT: Final = 1.5
"""How many radii an atom reaches."""

_MAX_POINTS: Final = 1 << 22
"""Values of a row, 16 MiB: a stored model could ask for any number."""

_ELEMENTS: Final = 118

_FARTHEST: Final = 1e9
"""The largest coordinate in Å; sums of larger ones could overflow."""

Channel = str | Sequence[str]


class AtomGrid(Transformer):
    """Expands atoms to densities on a cubic grid when a batch is read.

    X has the ragged columns ``elements`` and ``coordinates``, as of :class:`SDFLoader` and
    :class:`StructureLoader`, or ``numbers`` and ``positions`` of :class:`Conformer`; coordinates
    are in Å. The result is one column ``(n, channels, points, points, points)`` of float32, whose
    axes are x, y and z.

    The grid has ``points`` points along each axis, ``spacing`` Å apart, around ``center``; if that
    is None, around the mean position of each row's atoms. Each of the ``channels`` is an element or
    several: ``["C", "N", "O", ("F", "Cl", "Br", "I")]``. Atoms of other elements are left out.

    An atom of the van der Waals radius R (RDKit's) adds, at the distance d,

    - ``exp(-2 d² / R²)`` for d < R,
    - ``4 d² / (e² R²) - 12 d / (e² R) + 9 / e²`` for R ≤ d < 1.5 R,

    and nothing beyond: the smooth density of Ragoza et al. (2017, doi:10.1021/acs.jcim.6b00740).

    Nothing is fitted. Raises :class:`ParameterError` for unknown or repeated elements, and options
    out of range.
    """

    requires = ("rdkit",)

    def __init__(
        self,
        channels: Sequence[Channel] = ("C", "N", "O", "S", "P", ("F", "Cl", "Br", "I")),
        *,
        center: Sequence[float] | None = None,
        points: int = 48,
        spacing: float = 0.5,
    ) -> None:
        self.channels = tuple(
            channel if isinstance(channel, str) else tuple(channel) for channel in channels
        )
        self._channel_of = _channel_table(self.channels)
        self.center = None if center is None else _position(center)
        self.points = check_count("points", points, minimum=1)
        self.spacing = checks.positive("spacing", spacing, 100)
        if len(self.channels) * self.points**3 > _MAX_POINTS:
            raise ParameterError(
                f"A grid of {len(self.channels)} × {points}³ points is too large; the limit is "
                f"{_MAX_POINTS}.",
                hint="Choose fewer points or channels.",
            )

    def fit(self, dataset: Dataset) -> Self:
        """Return itself: there is nothing to learn."""
        check_dataset(dataset)
        return self

    def transform(self, dataset: Dataset) -> Dataset:
        """Return the dataset whose batches are expanded when they are read.

        Raises :class:`DatasetError`, here or when a batch is read, if X lacks the columns, or they
        do not fit each other.
        """
        check_dataset(dataset)
        if not any(set(pair) <= set(dataset.columns) for pair in _COLUMNS):
            found = ", ".join(dataset.columns) or "one column without a name"
            raise DatasetError(
                f"AtomGrid needs the columns elements and coordinates; X has {found}.",
                hint="Load it by SDFLoader(coordinates=True) or StructureLoader, or featurize it "
                "by Conformer.",
            )
        return MappedDataset(dataset, _Expanded(self))

    def expand(self, elements: Ragged, coordinates: Ragged) -> np.ndarray:
        """Return the grids of atomic numbers and positions, ``(n, channels, points, …)``.

        Raises :class:`DatasetError` if they do not fit each other, or are not numbers and finite
        positions in three dimensions.
        """
        _check(elements, coordinates)
        n, size = len(elements), self.points
        grids = np.zeros((n, len(self.channels), size, size, size), np.float32)
        for row, (numbers, positions) in enumerate(zip(elements, coordinates, strict=True)):
            if len(numbers):
                positions = np.asarray(positions, np.float64)
                center = positions.mean(axis=0) if self.center is None else self.center
                self._add(grids[row], numbers, (positions - center) / self.spacing)
        return grids

    def _add(self, grid: np.ndarray, numbers: np.ndarray, positions: np.ndarray) -> None:
        """Add atoms to ``grid``; ``positions`` are relative to its center, in spacings."""
        places = positions + (self.points - 1) / 2
        channels = self._channel_of[numbers]
        radii = _radii()[numbers] / self.spacing
        for channel, radius, place in zip(channels, radii, places, strict=True):
            if channel < 0:
                continue
            reach = _EXTENT * radius
            first = np.clip(np.ceil(place - reach), 0, self.points).astype(int)
            last = np.clip(np.floor(place + reach) + 1, 0, self.points).astype(int)
            if (first >= last).any():
                continue
            axes = [
                (np.arange(low, high) - at) ** 2
                for low, high, at in zip(first, last, place, strict=True)
            ]
            squares = axes[0][:, None, None] + axes[1][:, None] + axes[2]
            inside = tuple(slice(*ends) for ends in zip(first, last, strict=True))
            grid[channel][inside] += density(np.sqrt(squares) / radius)


class _Expanded:
    """The mapping of a batch; a class, so that it can be pickled."""

    def __init__(self, grid: AtomGrid) -> None:
        self.grid = grid

    def __call__(self, batch: Batch) -> Batch:
        X: Any = batch.X
        if X is None:
            return batch
        elements, coordinates = next(pair for pair in _COLUMNS if set(pair) <= set(X))
        return batch._replace(X=self.grid.expand(X[elements], X[coordinates]))


def density(distances: np.ndarray) -> np.ndarray:
    """Return the density at ``distances`` from an atom, in units of its radius."""
    core = np.exp(-2 * distances**2)
    shell = (4 * distances**2 - 12 * distances + 9) * np.exp(-2)
    return np.where(distances < 1, core, np.where(distances < _EXTENT, shell, 0))


@cache
def _radii() -> np.ndarray:
    """Return the van der Waals radius of each atomic number in Å, ``(119,)``."""
    table = Chem.GetPeriodicTable()
    return np.array([0.0, *(table.GetRvdw(number) for number in range(1, _ELEMENTS + 1))])


def _channel_table(channels: Sequence[Channel]) -> np.ndarray:
    """Return the channel of each atomic number as ``(256,)`` of int, -1 if it has none."""
    found = np.full(256, -1)
    numbers = {
        Chem.GetPeriodicTable().GetElementSymbol(number): number
        for number in range(1, _ELEMENTS + 1)
    }
    if not channels:
        raise ParameterError("There are no channels.", hint='Give elements: ["C", "N", "O"].')
    for i, channel in enumerate(channels):
        for symbol in [channel] if isinstance(channel, str) else channel:
            if symbol not in numbers:
                raise ParameterError(
                    f"There is no element {symbol!r}.", hint="Give symbols, such as 'C' or 'Cl'."
                )
            if found[numbers[symbol]] >= 0:
                raise ParameterError(f"The element {symbol!r} is in channels twice.")
            found[numbers[symbol]] = i
    return found


def _position(center: Sequence[float]) -> tuple[float, float, float]:
    try:
        x, y, z = map(float, center)
    except (TypeError, ValueError):
        x = y = z = np.nan
    if not np.isfinite([x, y, z]).all():
        raise ParameterError(f"{center=} must be three numbers, in Å.")
    return x, y, z


def _check(elements: Any, coordinates: Any) -> None:
    if not (isinstance(elements, Ragged) and isinstance(coordinates, Ragged)):
        raise DatasetError("The columns of atoms must be ragged.", hint="A row has its own atoms.")
    if elements.dtype.kind not in "iu" or coordinates.values.shape[1:] != (3,):
        raise DatasetError(
            f"Elements must be integers and coordinates (atoms, 3); they are {elements.dtype} and "
            f"{coordinates.values.shape}."
        )
    if not np.array_equal(elements.offsets, coordinates.offsets):
        raise DatasetError("Some row has other numbers of elements and of coordinates.")
    values = elements.values
    if len(values) and not 0 <= int(values.min()) <= int(values.max()) <= _ELEMENTS:
        raise DatasetError(f"Elements must be atomic numbers from 0 to {_ELEMENTS}.")
    if not (np.abs(coordinates.values) <= _FARTHEST).all():
        raise DatasetError(f"Coordinates must be finite, and at most {_FARTHEST:g} Å.")
