"""Featurizers of materials: analytic values, and what a crystal's description may not change."""

import numpy as np
import pytest

from dc_core.errors import ParameterError
from dc_pipeline import CompositionFeaturizer, SineCoulombEigenvalues
from dc_pipeline.featurizers.materials import sine_matrix

core = pytest.importorskip("pymatgen.core", reason="pymatgen is not installed")

BOHR = 0.529177210544


def value(features, featurizer, column):
    return features.values[0, featurizer.columns.index(column)]


def test_the_statistics_of_iron_oxide_are_analytic():
    featurizer = CompositionFeaturizer()
    found = featurizer.featurize(["Fe2O3"])
    iron, oxygen = 1.83, 3.44  # Pauling's electronegativities
    mean = 0.4 * iron + 0.6 * oxygen
    deviation = 0.4 * (mean - iron) + 0.6 * (oxygen - mean)
    expected = {
        "minimum X": iron,
        "maximum X": oxygen,
        "range X": oxygen - iron,
        "mean X": mean,
        "avg_dev X": deviation,
        "mode X": oxygen,
        "mean Z": 0.4 * 26 + 0.6 * 8,
        "mode row": 2,
    }
    for column, number in expected.items():
        assert value(found, featurizer, column) == pytest.approx(number), column


def test_only_the_fractions_of_a_formula_matter():
    values = CompositionFeaturizer().featurize(["Fe2O3", "O3Fe2", "Fe4O6", "Fe0.4O0.6"]).values
    np.testing.assert_allclose(values[1:], np.tile(values[0], (3, 1)))


def test_of_elements_that_are_equally_frequent_the_smallest_is_the_mode():
    featurizer = CompositionFeaturizer(["Z"], ["mode"])
    assert featurizer.columns == ("mode Z",)
    assert featurizer.featurize(["NaCl", "ClNa", "Cl2Na"]).values.tolist() == [[11], [11], [17]]


def test_what_is_not_a_formula_or_lacks_a_property_fails_alone():
    inputs = ["Fe2O3", "Xx2", "", "Fe2O3)", None, "He", "NaCl"]
    features = CompositionFeaturizer().featurize(inputs)
    assert features.ok.tolist() == [True, False, False, False, False, False, True]
    assert [f.status for f in features.failures] == ["parse"] * 4 + ["feature"]
    assert "X of He" in features.failures[4].message
    assert CompositionFeaturizer().featurize([]).values.shape == (0, 42)


@pytest.mark.parametrize(
    ("formula", "status"),
    [("H" + "9" * 400, "parse"), ("H2O1e999", "parse"), ("Fe0", "parse"), ("(H)" * 1000, "size")],
)
def test_a_formula_without_finite_amounts_fails_alone(formula, status):
    features = CompositionFeaturizer().featurize(["Fe2O3", formula])
    assert features.ok.tolist() == [True, False]
    assert features.failures[0].status == status


@pytest.mark.parametrize("seed", range(4))
def test_no_text_does_more_than_fail_alone(seed):
    rng = np.random.default_rng(seed)
    cell = core.Lattice.from_parameters(4, 5, 6, 90, 95, 100)
    crystal = core.Structure(cell, ["Na", "Cl"], [[0, 0, 0], [0.5, 0.4, 0.3]])
    words = [
        "nan",
        "inf",
        "1e999",
        "0",
        "-1",
        "",
        "99999999999",
        "loop_",
        "?",
        "x,y",
        "Xx",
        "(",
        "2",
    ]
    for form in ("cif", "poscar"):
        lines = crystal.to(fmt=form).splitlines()
        texts = []
        for _ in range(40):
            changed = [*lines]
            for place in rng.integers(0, len(lines), 3):
                parts = changed[place].split(" ")
                parts[rng.integers(len(parts))] = str(rng.choice(words))
                changed[place] = " ".join(parts)
            texts.append("\n".join(changed))
        features = SineCoulombEigenvalues(4).featurize(texts)
        assert np.isfinite(features.values).all()
    formulas = ["".join(rng.choice([*words, "Fe", "O", ")", "."], 4)) for _ in range(200)]
    assert np.isfinite(CompositionFeaturizer(["Z"]).featurize(formulas).values).all()


CUBE = "4 0 0\n0 4 0\n0 0 4"


@pytest.mark.parametrize(
    ("cell", "second", "status"),
    [
        (CUBE, "0 0 0", "feature"),
        (CUBE, "1 0 0", "feature"),
        (CUBE, "nan 0 0", "parse"),
        (CUBE, "inf 0 0", "parse"),
        ("4 0 0\n4 0 0\n0 0 4", "0.5 0.5 0.5", "parse"),
        ("0 0 0\n0 0 0\n0 0 0", "0.5 0.5 0.5", "parse"),
    ],
)
def test_a_crystal_whose_matrix_is_not_finite_fails_alone(cell, second, status):
    good = f"NaCl\n1.0\n{CUBE}\nNa Cl\n1 1\nDirect\n0 0 0\n0.5 0.5 0.5\n"
    bad = f"NaCl\n1.0\n{cell}\nNa Cl\n1 1\nDirect\n0 0 0\n{second}\n"
    features = SineCoulombEigenvalues(2).featurize([good, bad])
    assert features.ok.tolist() == [True, False]
    assert features.failures[0].status == status
    assert not features.values[1].any()


@pytest.mark.parametrize("names", [["mass"], [], ["Z", "Z"], "Z", ["__class__"]])
def test_impossible_names_are_typed_errors(names):
    with pytest.raises(ParameterError):
        CompositionFeaturizer(names)


def caesium_chloride(shift=(0, 0, 0), order=(0, 1)):
    sites = [("Cs", np.array([0.0, 0, 0])), ("Cl", np.array([0.5, 0.5, 0.5]))]
    species, places = zip(*(sites[i] for i in order), strict=True)
    return core.Structure(core.Lattice.cubic(4.12), species, np.array(places) + shift)


def test_the_matrix_of_caesium_chloride_is_analytic():
    # sin² is 1 along each axis, so that the distance is the cube's diagonal.
    matrix = sine_matrix(np.array([55, 17]), np.array([[0.0] * 3, [0.5] * 3]), 4.12 * np.eye(3))
    distance = 4.12 * np.sqrt(3) / BOHR
    off = 55 * 17 / distance
    np.testing.assert_allclose(matrix, [[0.5 * 55**2.4, off], [off, 0.5 * 17**2.4]])
    values = SineCoulombEigenvalues(4).featurize([caesium_chloride().to(fmt="cif")]).values
    expected = sorted(np.linalg.eigvalsh(matrix), reverse=True)
    np.testing.assert_allclose(values, [[*expected, 0, 0]])


@pytest.mark.parametrize("form", ["cif", "poscar"])
def test_origin_and_order_and_whole_periods_do_not_matter(form):
    featurizer = SineCoulombEigenvalues(8)
    structures = [
        caesium_chloride(),
        caesium_chloride(shift=(0.21, 0.4, 0.77)),
        caesium_chloride(order=(1, 0)),
        caesium_chloride(shift=(3, -1, 2)),
    ]
    values = featurizer.featurize([one.to(fmt=form) for one in structures]).values
    np.testing.assert_allclose(values, np.tile(values[0], (4, 1)), rtol=1e-6)


def test_what_is_not_an_ordered_crystal_of_the_size_fails_alone():
    mixed = core.Structure(core.Lattice.cubic(4), [{"Na": 0.5, "K": 0.5}], [[0, 0, 0]])
    large = caesium_chloride() * (2, 2, 2)
    texts = [one.to(fmt="cif") for one in (caesium_chloride(), mixed, large)]
    features = SineCoulombEigenvalues(2).featurize([*texts, "nothing", ""])
    assert features.ok.tolist() == [True, False, False, False, False]
    assert [f.status for f in features.failures] == ["feature", "size", "parse", "parse"]
    assert features.failures[1].message.endswith("the limit is size=2")
