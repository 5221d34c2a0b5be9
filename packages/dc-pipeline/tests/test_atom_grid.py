"""Grids around a pocket: analytic densities, and how they move with the atoms."""

import numpy as np
import pytest
from scipy.integrate import quad

from dc_core import NumpyDataset, Ragged
from dc_core.errors import DatasetError, ParameterError
from dc_pipeline import AtomGrid, Conformer, SDFLoader, StructureLoader

CARBON = 1.7
"""The van der Waals radius of carbon in RDKit, in Å."""


def atoms(*molecules):
    """Return the columns of molecules, each a list of (atomic number, position)."""
    offsets = np.cumsum([0, *map(len, molecules)])
    flat = [atom for molecule in molecules for atom in molecule]
    elements = np.array([number for number, _ in flat], np.uint8)
    positions = np.array([place for _, place in flat], np.float64).reshape(-1, 3)
    return Ragged(elements, offsets), Ragged(positions, offsets)


def random_molecule(seed, n=12):
    rng = np.random.default_rng(seed)
    return [
        (int(number), place)
        for number, place in zip(rng.choice([6, 7, 8], n), rng.normal(0, 2, (n, 3)), strict=True)
    ]


def test_the_density_of_one_atom_is_the_published_function():
    grid = AtomGrid(["C"], center=(0, 0, 0), points=21, spacing=0.3)
    (values,) = grid.expand(*atoms([(6, (0.1, -0.2, 0.05))]))[0]
    axis = (np.arange(21) - 10) * 0.3
    x, y, z = np.meshgrid(axis - 0.1, axis + 0.2, axis - 0.05, indexing="ij")
    d = np.sqrt(x**2 + y**2 + z**2) / CARBON
    e2 = np.e**2
    core, shell = np.exp(-2 * d**2), 4 * d**2 / e2 - 12 * d / e2 + 9 / e2
    expected = np.where(d < 1, core, np.where(d < 1.5, shell, 0))
    np.testing.assert_allclose(values, expected, atol=1e-6)


def test_the_total_density_is_the_integral_of_the_function():
    def shell(d):
        inside = np.exp(-2 * d**2) if d < 1 else (4 * d**2 - 12 * d + 9) / np.e**2
        return 4 * np.pi * d**2 * inside

    integral = quad(shell, 0, 1)[0] + quad(shell, 1, 1.5)[0]
    grid = AtomGrid(["C"], center=(0, 0, 0), points=40, spacing=0.25)
    total = grid.expand(*atoms([(6, (0.3, 0.1, -0.4))])).sum() * 0.25**3
    assert total == pytest.approx(integral * CARBON**3, rel=1e-3)


def test_a_shift_by_whole_points_shifts_the_grid():
    molecule = random_molecule(0)
    grid = AtomGrid(["C", "N", "O"], center=(0, 0, 0), points=64)
    moved = [(number, place + np.array([1.0, -0.5, 2.0])) for number, place in molecule]
    before, after = grid.expand(*atoms(molecule, moved))
    np.testing.assert_allclose(after, np.roll(before, (2, -1, 4), axis=(1, 2, 3)), atol=1e-5)


def test_a_quarter_turn_turns_the_grid():
    molecule = random_molecule(1)
    grid = AtomGrid(["C", "N", "O"], center=(0, 0, 0), points=48)
    turned = [(number, np.array([-y, x, z])) for number, (x, y, z) in molecule]
    before, after = grid.expand(*atoms(molecule, turned))
    np.testing.assert_allclose(after, np.rot90(before, 1, axes=(1, 2)), atol=1e-5)


def test_the_total_does_not_depend_on_position_and_orientation():
    molecule = random_molecule(2)
    turn, _ = np.linalg.qr(np.random.default_rng(3).normal(size=(3, 3)))
    moved = [(number, turn @ place + 0.137) for number, place in molecule]
    grid = AtomGrid(["C", "N", "O"], center=(0, 0, 0), points=72, spacing=0.4)
    before, after = grid.expand(*atoms(molecule, moved)).sum(axis=(2, 3, 4))
    np.testing.assert_allclose(after, before, rtol=0.01)


def test_atoms_add_up_and_go_to_the_channel_of_their_element():
    one, two = [(6, (0.0, 0, 0))], [(17, (1.0, 0, 0)), (6, (2.0, 0, 0))]
    grid = AtomGrid(["C", ("F", "Cl")], center=(0, 0, 0), points=24)
    a, b, both, other = grid.expand(*atoms(one, two, one + two, [(1, (0.0, 0, 0))]))
    np.testing.assert_allclose(both, a + b, atol=1e-6)
    assert b[1].max() > 0
    assert a[1].max() == 0
    assert other.max() == 0


def test_what_lies_outside_is_cut_off_at_the_edge():
    small, large = (AtomGrid(["C"], center=(0, 0, 0), points=n) for n in (9, 33))
    molecule = atoms([(6, (2.0, 0, 0)), (6, (50.0, 0, 0))])
    inside = large.expand(*molecule)[0, 0][12:21, 12:21, 12:21]
    np.testing.assert_allclose(small.expand(*molecule)[0, 0], inside, atol=1e-6)


def test_without_a_center_the_grid_is_around_the_atoms():
    molecule = random_molecule(4)
    far = [(number, place + 100) for number, place in molecule]
    near, away = AtomGrid(["C", "N", "O"], points=32).expand(*atoms(molecule, far))
    np.testing.assert_allclose(away, near, atol=1e-5)


def test_batches_of_conformers_structures_and_sd_files_are_expanded(real):
    X = Conformer().featurize(["CCO", "c1ccccc1"]).values
    sdf = SDFLoader(coordinates=True).load(real("1iep_ligand.sdf")).dataset
    receptor = StructureLoader().load(real("1iep_receptorH.pdb")).dataset
    box = (15.190, 53.903, 16.917)  # 1iep_receptor.box.txt
    grid = AtomGrid(center=box, points=40)
    for dataset in (NumpyDataset(X), sdf, receptor):
        expanded = grid.fit(dataset).transform(dataset)
        (batch,) = expanded.batches(len(dataset))
        assert batch.X.shape == (len(dataset), 6, 40, 40, 40)
        assert batch.X.dtype == np.float32
    ligand, pocket = (grid.transform(given).X[0, 0] for given in (sdf, receptor))
    # The ligand fills the pocket: the carbons of both hardly overlap.
    assert np.minimum(ligand, pocket).sum() < 0.1 * min(ligand.sum(), pocket.sum())


@pytest.mark.parametrize(
    "options",
    [
        {"channels": []},
        {"channels": ["Xx"]},
        {"channels": ["C", ("N", "C")]},
        {"center": (0, 0)},
        {"center": (0, 0, np.nan)},
        {"points": 0},
        {"points": 1000},
        {"spacing": 0},
    ],
    ids=str,
)
def test_impossible_options_are_typed_errors(options):
    with pytest.raises(ParameterError):
        AtomGrid(**options)


@pytest.mark.parametrize("place", [50, -50, 9e8, -9e8])
@pytest.mark.parametrize("axis", range(3))
@pytest.mark.parametrize("spacing", [0.5, 1e-12])
def test_an_atom_far_outside_adds_nothing(place, axis, spacing):
    grid = AtomGrid(["C"], center=(0, 0, 0), points=4, spacing=spacing)
    position = [0.0, 0.0, 0.0]
    position[axis] = place
    assert not grid.expand(*atoms([(6, tuple(position))])).any()


def test_columns_that_do_not_fit_are_typed_errors():
    grid = AtomGrid(["C"], points=4)
    elements, positions = atoms([(6, (0.0, 0, 0)), (6, (1.0, 0, 0))])
    shifted = Ragged(positions.values, np.array([0, 1, 2]))
    for pair in (
        (elements, shifted),
        (Ragged(elements.values + np.uint8(200), elements.offsets), positions),
        (elements, Ragged(positions.values * np.nan, positions.offsets)),
        (elements, Ragged(positions.values + 1e300, positions.offsets)),
        (elements, Ragged(positions.values[:, :2], positions.offsets)),
        (elements.values, positions),
    ):
        with pytest.raises(DatasetError):
            grid.expand(*pair)
    with pytest.raises(DatasetError, match="elements and coordinates"):
        grid.transform(NumpyDataset(np.zeros((2, 3))))
