"""Featurizers of materials: the elements of a composition, and the atoms of a crystal."""

from __future__ import annotations

import warnings
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from dc_core import Failure, FailureReport, Features, Featurizer, check_count, check_names
from dc_core.errors import ParameterError
from dc_pipeline.featurizers.coulomb import BOHR
from dc_pipeline.inputs import as_sequence

PROPERTIES: Final = (
    *("Z", "X", "row", "group", "mendeleev_no", "atomic_mass", "atomic_radius"),
    *("melting_point", "thermal_conductivity", "velocity_of_sound", "electrical_resistivity"),
    *("bulk_modulus", "coefficient_of_linear_thermal_expansion"),
)
"""The properties of elements that pymatgen has as numbers, by its names and in its units."""

_DEFAULT: Final = PROPERTIES[:7]
STATISTICS: Final = ("minimum", "maximum", "range", "mean", "avg_dev", "mode")
_MAX_SIZE: Final = 1 << 12
_MAX_FORMULA: Final = 1 << 10
"""Characters of a formula: pymatgen's time grows with the square of the number of brackets."""

_NEAREST: Final = 0.01
"""Å between two atoms, below which they are at the same place."""

_SMALLEST: Final = 1e-3
"""Å³ of a cell, below which its vectors are in one plane."""

_LARGEST: Final = 1e15
"""Å³ of a cell, above which it is none: distances could overflow."""


class _MaterialFeaturizer(Featurizer[str]):
    """A featurizer of texts; a subclass computes the row of one."""

    requires = ("pymatgen",)

    @property
    @abstractmethod
    def _width(self) -> int:
        """The number of features."""

    @abstractmethod
    def _row(self, text: str) -> np.ndarray | tuple[str, str]:
        """Return the features of a text, or the status and reason of its failure."""

    def featurize(self, inputs: Sequence[str], *, strict: bool = False) -> Features:
        """Return one row per input, zero where it failed.

        Raises :class:`FeaturizationError` with the failures if ``strict``, and
        :class:`DatasetError` if the inputs have no order or length.
        """
        texts: Sequence[Any] = as_sequence(inputs)
        values = np.zeros((len(texts), self._width))
        failures: list[Failure] = []
        for row, given in enumerate(texts):
            found = (
                self._row(given)
                if isinstance(given, str) and given.strip()
                else ("parse", "the input is not a text, or empty")
            )
            if isinstance(found, tuple):
                failures.append(Failure(row, str(given), *found))
            else:
                values[row] = found
        report = FailureReport(tuple(failures))
        if strict:
            report.raise_if_any()
        ok = np.ones(len(texts), bool)
        ok[[failure.row for failure in failures]] = False
        return Features(values, ok, report)


class CompositionFeaturizer(_MaterialFeaturizer):
    """Statistics of the properties of the elements in a composition.

    Inputs are formulas such as ``"Fe2O3"``, and the properties are those of pymatgen. Statistics
    are defined by Ward et al. (2016, doi:10.1038/npjcompumats.2016.28), f being the atomic
    fractions: minimum, maximum and range; the mean ``Σ f p``; the average deviation
    ``Σ f |p - mean|``; and the mode, that of the most frequent element, or the smallest of several.
    Features are ``(n, properties * statistics)`` of float64; :attr:`columns` names them.

    Failures have the status ``parse`` for what is not a formula, ``size`` for one of more than 1024
    characters, and ``feature`` if a property of an element is not known: noble gases have no
    electronegativity ``X``, for example.

    Needs pymatgen: ``pip install "dc-pipeline[materials]"``.

    Raises :class:`ParameterError` for unknown or repeated names, and if pymatgen is not installed.
    """

    def __init__(
        self, properties: Sequence[str] = _DEFAULT, statistics: Sequence[str] = STATISTICS
    ) -> None:
        self.properties = _chosen("properties", properties, PROPERTIES)
        self.statistics = _chosen("statistics", statistics, STATISTICS)
        _pymatgen()

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the features: statistic and property."""
        return tuple(
            f"{statistic} {name}" for name in self.properties for statistic in self.statistics
        )

    @property
    def _width(self) -> int:
        return len(self.properties) * len(self.statistics)

    def _row(self, text: str) -> np.ndarray | tuple[str, str]:
        core = _pymatgen()
        if len(text) > _MAX_FORMULA:
            return "size", f"the formula has {len(text)} characters; the limit is {_MAX_FORMULA}"
        try:
            composition = core.Composition(text)
        except Exception as error:  # noqa: BLE001 - pymatgen raises what its parser runs into
            return "parse", f"this is not a formula: {_reason(error)}"
        elements = composition.elements
        strange = [str(one) for one in elements if not isinstance(one, core.Element)]
        if strange:
            return "parse", f"this is not a formula: there is no element {', '.join(strange)}"
        if not elements:
            return "parse", "this is not a formula: it has no atoms"
        if not np.isfinite(composition.num_atoms):
            return "parse", "this is not a formula: an amount is too large"
        fractions = np.array([composition.get_atomic_fraction(one) for one in elements])
        table = np.array([[_number(one, name) for one in elements] for name in self.properties])
        unknown = np.argwhere(~np.isfinite(table))
        if len(unknown):
            name, element = self.properties[unknown[0, 0]], elements[unknown[0, 1]]
            return "feature", f"{name} of {element} is not known"
        found = _statistics(table, fractions)
        return np.stack([found[name] for name in self.statistics], axis=1).ravel()


class SineCoulombEigenvalues(_MaterialFeaturizer):
    """The eigenvalues of the sine matrix of a crystal, in hartree, by descending absolute value.

    It is a Coulomb matrix with the crystal's period (Faber et al. 2015, doi:10.1002/qua.24917):
    ``Z_i Z_j / |B Σ_k e_k sin²(π e_k · B⁻¹ (r_i - r_j))|`` off the diagonal, for the lattice
    vectors B in bohr, and ``0.5 Z_i ** 2.4`` on it. Features are ``(n, size)`` of float64, zero
    beyond the atoms of the cell. Eigenvalues do not depend on the order of the atoms, or on the
    origin of the cell; they do on the choice of the cell.

    Inputs are the texts of CIF or POSCAR files. Failures have the status ``parse`` for other texts
    and for cells without volume, ``feature`` for sites without a certain element and for two atoms
    at the same place, and ``size`` for more than ``size`` atoms.

    Needs pymatgen: ``pip install "dc-pipeline[materials]"``.

    Raises :class:`ParameterError` for a ``size`` out of range, and if pymatgen is not installed.
    """

    def __init__(self, size: int) -> None:
        self.size = check_count("size", size, minimum=1, maximum=_MAX_SIZE)
        _pymatgen()

    @property
    def _width(self) -> int:
        return self.size

    def _row(self, text: str) -> np.ndarray | tuple[str, str]:
        core = _pymatgen()
        form = "cif" if "_cell_length_a" in text else "poscar"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pymatgen's remarks on rounding and the like
            try:
                if form == "poscar":
                    _check_counts(text.splitlines())
                structure = core.Structure.from_str(text, fmt=form)
            except Exception as error:  # noqa: BLE001 - pymatgen raises what its parsers run into
                return "parse", f"this is not a CIF or POSCAR file: {_reason(error)}"
        if not structure.is_ordered:
            return "feature", "a site is occupied by several elements, or partly"
        if len(structure) > self.size:
            return "size", f"the cell has {len(structure)} atoms; the limit is size={self.size}"
        fractional, lattice = structure.frac_coords, structure.lattice.matrix
        finite = np.isfinite(fractional).all() and np.isfinite(lattice).all()
        if not (finite and _SMALLEST < abs(np.linalg.det(lattice)) < _LARGEST):
            return "parse", "this is not a crystal: positions are not numbers, or it has no volume"
        if _coincident(fractional, lattice):
            return "feature", "two atoms are at the same place"
        with np.errstate(all="ignore"):
            matrix = sine_matrix(np.array(structure.atomic_numbers), fractional, lattice)
        if not np.isfinite(matrix).all():
            return "feature", "the sine distance of two atoms is zero or too large"
        found = np.linalg.eigvalsh(matrix)
        row = np.zeros(self.size)
        row[: len(found)] = found[np.argsort(-np.abs(found), kind="stable")]
        return row


def sine_matrix(numbers: np.ndarray, fractional: np.ndarray, lattice: np.ndarray) -> np.ndarray:
    """Return the sine matrix in hartree, ``(atoms, atoms)`` of float64.

    ``numbers`` are the atomic numbers, ``fractional`` the coordinates ``(atoms, 3)``, and
    ``lattice`` has the lattice vectors as rows, in Å. See :class:`SineCoulombEigenvalues`.
    """
    charges = numbers.astype(np.float64)
    apart = np.sin(np.pi * (fractional[:, None] - fractional[None])) ** 2 @ lattice / BOHR
    distances = np.linalg.norm(apart, axis=-1)
    np.fill_diagonal(distances, 1.0)
    matrix: np.ndarray = np.outer(charges, charges) / distances
    np.fill_diagonal(matrix, 0.5 * charges**2.4)
    return matrix


def _check_counts(lines: Sequence[str]) -> None:
    """Raise :class:`ValueError` if a POSCAR file has fewer lines than it says that it has atoms.

    pymatgen makes a list of all of them before it reads the first.
    """
    counts = (int(word) for line in lines[5:7] for word in line.split() if word.isdecimal())
    if sum(counts) > len(lines):
        raise ValueError("it has fewer lines than atoms")


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__


def _coincident(fractional: np.ndarray, lattice: np.ndarray) -> bool:
    """Tell whether two atoms, or their periodic images, are at the same place."""
    apart = fractional[:, None] - fractional[None]
    distances = np.linalg.norm((apart - np.round(apart)) @ lattice, axis=-1)
    np.fill_diagonal(distances, np.inf)
    return bool((distances < _NEAREST).any())


def _statistics(table: np.ndarray, fractions: np.ndarray) -> dict[str, np.ndarray]:
    """Return the statistics of properties ``(properties, elements)``, each ``(properties,)``."""
    low, high = table.min(axis=1), table.max(axis=1)
    mean = table @ fractions
    most = np.isclose(fractions, fractions.max())
    return {
        "minimum": low,
        "maximum": high,
        "range": high - low,
        "mean": mean,
        "avg_dev": np.abs(table - mean[:, None]) @ fractions,
        "mode": table[:, most].min(axis=1),
    }


def _number(element: Any, name: str) -> float:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pymatgen warns of what is not known
        value = getattr(element, name, None)
    return np.nan if value is None else float(value)


def _chosen(argument: str, names: Sequence[str], known: Sequence[str]) -> tuple[str, ...]:
    check_names(argument, names)
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ParameterError(
            f"{argument} has {unknown[0]!r}.", hint=f"There are: {', '.join(known)}."
        )
    if not names or len(set(names)) < len(names):
        raise ParameterError(f"{argument} must be different names, at least one.")
    return tuple(names)


def _pymatgen() -> Any:
    try:
        import pymatgen.core
    except ImportError as error:
        raise ParameterError(
            f"Featurizers of materials need pymatgen, which cannot be imported: {error}.",
            hint='pip install "dc-pipeline[materials]"',
        ) from error
    return pymatgen.core
