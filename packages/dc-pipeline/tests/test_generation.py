"""Generating molecules: pipelines that write SMILES, and hill climbing."""

import numpy as np
import pytest

from dc_core import Estimator, Generator, NumpyDataset
from dc_core.errors import DatasetError, EmptyDataset, ParameterError, RunMismatch, UnknownParameter
from dc_pipeline import (
    ECFP,
    GeneratorPipeline,
    HillClimbing,
    Pipeline,
    SmilesTokens,
    canonical_smiles,
)

SMILES = ["CCO", "CCCO", "CCN", "CCCN", "COC", "CNC", "CCCC", "OCCO", "CCOC", "CCCCN", "C=CO"]


class Bigrams(Generator):
    """The probability of each token after each other one, as counted."""

    fitted = ("counts",)

    def __init__(self, size: int, max_length: int = 12) -> None:
        self.size = size
        self.max_length = max_length
        self.counts = np.zeros((size, size))

    def fit(self, dataset):
        counts = np.zeros((self.size, self.size))
        for row in dataset.X:
            np.add.at(counts, (row[:-1], row[1:]), 1)
        self.counts = counts
        return self

    def sample(self, n, seed, *, temperature=1.0):
        rng = np.random.default_rng(seed)
        rows = []
        for _ in range(n):
            row = [2]
            while row[-1] != 3 and len(row) < self.max_length:
                chances = self.counts[row[-1]] ** (1 / temperature)
                row.append(int(rng.choice(self.size, p=chances / chances.sum())))
            rows.append(row)
        from dc_core import Ragged

        return NumpyDataset(Ragged.from_rows(rows, np.uint16))


class InOrder(Generator):
    """Gives the texts of ``rounds``, one list after another, and notes what it is trained on."""

    fitted = ("number",)

    def __init__(self, rounds) -> None:
        self.rounds = rounds
        self.number = np.zeros((), np.int64)
        self.trained = []

    def fit(self, dataset):
        self.trained.append(dataset.X.tolist())
        self.number = self.number + 1
        return self

    def sample(self, n, seed):
        return NumpyDataset(self.rounds[int(self.number)])


def bigrams():
    tokens = SmilesTokens.learn(SMILES)
    return GeneratorPipeline(Bigrams(tokens.size), tokens).fit(NumpyDataset(SMILES))


def oxygens(smiles):
    """The share of oxygen among the atoms."""
    return [text.count("O") / max(1, sum(map(str.isalpha, text))) for text in smiles]


def climbing(**options):
    settings = {"samples": 40, "keep": 10, "reference": SMILES, "seed": 3, **options}
    return HillClimbing(bigrams(), oxygens, **settings)


def result(loop):
    return loop.history, loop.molecules.X.tolist(), loop.molecules.y.tolist()


def test_a_generator_pipeline_reads_and_writes_texts():
    written = bigrams().sample(50, seed=0)
    assert written.X.dtype.kind == "T"
    assert len(written) == 50
    assert {letter for text in written.X for letter in text} <= set("CNO=")


def test_equal_seeds_give_equal_texts():
    model = bigrams()
    first, again, other = (model.sample(20, seed).X.tolist() for seed in (1, 1, 2))
    assert first == again != other
    cold = model.sample(20, 1, temperature=0.01).X.tolist()
    assert len(set(cold)) < len(set(first))


def test_rows_that_fail_are_reported_and_the_others_learned():
    tokens = SmilesTokens.learn(SMILES)
    model = GeneratorPipeline(Bigrams(tokens.size), tokens)
    model.fit(NumpyDataset(["CCl", *SMILES, "not a SMILES!", ""]))
    assert [(f.row, f.status) for f in model.failures] == [
        (0, "feature"),  # the vocabulary lacks Cl
        (12, "parse"),
        (13, "parse"),
    ]
    np.testing.assert_array_equal(model.generator.counts, bigrams().generator.counts)
    with pytest.raises(EmptyDataset):
        model.fit(NumpyDataset([""]))


def test_what_cannot_be_decoded_is_an_empty_text_and_reported():
    tokens = SmilesTokens.learn(SMILES)
    model = GeneratorPipeline(Bigrams(tokens.size), tokens)
    model.generator.counts[2, 1] = model.generator.counts[1, 3] = 1.0  # the unknown token
    assert model.sample(2, seed=0).X.tolist() == ["", ""]
    assert [failure.status for failure in model.failures] == ["feature", "feature"]


def test_parts_of_another_kind_are_refused():
    tokens = SmilesTokens.learn(SMILES)
    with pytest.raises(ParameterError, match="decode"):
        GeneratorPipeline(Bigrams(9), ECFP())
    with pytest.raises(ParameterError, match="Generator"):
        GeneratorPipeline(tokens, tokens)
    with pytest.raises(ParameterError, match="Featurizer"):
        GeneratorPipeline(Bigrams(9), Bigrams(9))
    with pytest.raises(ParameterError, match="generator"):
        HillClimbing(tokens, oxygens)
    with pytest.raises(ParameterError, match="score"):
        HillClimbing(bigrams(), "QED")
    with pytest.raises(UnknownParameter, match="samples"):
        HillClimbing(bigrams(), oxygens, sample=3)


def test_shares_and_scores_of_a_round_are_those_counted_by_hand():
    generator = InOrder([["OC", "CO", "C1CC", "", "OO", "CCN", "C"], ["CO", "CCC", "OCO"]])
    loop = HillClimbing(generator, oxygens, samples=7, keep=2, reference=["NCC"])
    first, second = loop.run(2)
    assert (first.sampled, first.valid, first.unique, first.novel) == (7, 5, 4, 3)
    assert (first.validity, first.uniqueness, first.novelty) == (5 / 7, 4 / 5, 3 / 4)
    scores = [0.5, 1.0, 0.0, 0.0]  # CO, OO, CCN, C
    assert first.mean == np.mean(scores)
    assert first.quantiles == tuple(np.quantile(scores, [0, 0.25, 0.5, 0.75, 1]))
    assert first.kept == 0.75
    # CO was found before.
    assert (second.unique, second.novel) == (3, 2)
    assert second.kept == np.mean([1.0, 2 / 3])
    assert generator.trained == [["OO", "CO"], ["OO", "OCO"]]


def test_every_molecule_is_scored_once():
    seen = []

    def score(smiles):
        seen.extend(smiles)
        return oxygens(smiles)

    loop = HillClimbing(bigrams(), score, samples=40, keep=10)
    loop.run(4)
    assert len(seen) == len(set(seen)) == len(loop.molecules)
    assert seen == canonical_smiles(seen)


def test_molecules_are_sorted_by_score_and_those_without_come_last():
    def score(smiles):
        return np.where(["N" in text for text in smiles], np.nan, oxygens(smiles))

    loop = HillClimbing(bigrams(), score, samples=60, keep=5)
    loop.run(1)
    scores = loop.molecules.y[:, 0]
    given = ~np.isnan(scores)
    assert 0 < given.sum() < len(scores)
    assert (np.diff(scores[given]) <= 0).all()
    assert not given[given.sum() :].any()
    assert not any("N" in text for text in loop.generator.sample(30, seed=0).X)


def test_retraining_raises_the_scores_and_sampling_alone_does_not():
    final = {
        retrain: [climbing(seed=seed, retrain=retrain).run(5)[-1].mean for seed in range(8)]
        for retrain in (True, False)
    }
    first = [climbing(seed=seed).run(1)[0].mean for seed in range(8)]
    gain = np.subtract(final[True], final[False])
    assert gain.mean() > 5 * gain.std(ddof=1) / np.sqrt(8)
    rest = np.subtract(final[False], first)
    assert abs(rest.mean()) < 4 * rest.std(ddof=1) / np.sqrt(8)


def test_an_estimator_can_be_the_score():
    class Oxygens(Estimator):
        def fit(self, dataset, *, valid=None):
            return self

        def predict(self, dataset):
            return np.array(oxygens(dataset.X.tolist()))[:, None]

    by_model = HillClimbing(bigrams(), Pipeline(Oxygens()), samples=30, keep=5)
    by_function = HillClimbing(bigrams(), oxygens, samples=30, keep=5)
    assert by_model.run(2) == by_function.run(2)


def test_runs_of_one_seed_are_equal_and_of_other_seeds_are_not():
    first, again, other = climbing(), climbing(), climbing(seed=4)
    assert first.run(3) == again.run(3) != other.run(3)


class Interrupted(Exception):
    """Ends a round."""


def test_a_round_counts_whole_or_not_at_all():
    calls = []

    def score(smiles):
        calls.append(len(smiles))
        if len(calls) == 3:
            raise Interrupted
        return oxygens(smiles)

    loop = HillClimbing(bigrams(), score, samples=40, keep=10, reference=SMILES, seed=3)
    fitted = loop.generator.fit

    def fit_and_fail(dataset):
        fitted(dataset)
        raise KeyboardInterrupt

    loop.run(2)
    before = loop.generator.get_weights()
    with pytest.raises(Interrupted):
        loop.run(4)
    loop.generator.fit = fit_and_fail
    with pytest.raises(KeyboardInterrupt):
        loop.run(4)
    del loop.generator.fit
    assert len(loop.history) == 2
    assert all(np.array_equal(before[name], loop.generator[name]) for name in before)
    loop.run(4)
    whole = climbing()
    whole.run(4)
    assert result(loop) == result(whole)


@pytest.mark.parametrize("finished", [1, 3])
def test_a_run_is_continued_from_its_directory_exactly(tmp_path, finished):
    climbing(directory=tmp_path).run(finished)
    second = climbing(directory=tmp_path)
    assert len(second.history) == finished
    second.run(4)
    whole = climbing()
    whole.run(4)
    assert result(second) == result(whole)
    weights = whole.generator.get_weights()
    assert all(np.array_equal(weights[name], second.generator[name]) for name in weights)
    assert result(climbing(directory=tmp_path)) == result(whole)


def test_the_same_generator_can_go_on_in_the_directory(tmp_path):
    loop = climbing(directory=tmp_path)
    loop.run(2)
    settings = {"samples": 40, "keep": 10, "reference": SMILES, "seed": 3}
    again = HillClimbing(loop.generator, oxygens, **settings, directory=tmp_path)
    assert again.run(3)[:2] == loop.history


def test_what_a_killed_process_left_is_no_round(tmp_path):
    climbing(directory=tmp_path).run(1)
    unfinished = tmp_path / "tmp-1"
    unfinished.mkdir()
    (unfinished / "round.json").write_text("{")
    assert len(climbing(directory=tmp_path).history) == 1
    assert not unfinished.exists()


@pytest.mark.parametrize(
    "options",
    [{"samples": 41}, {"keep": 11}, {"seed": 4}, {"reference": SMILES[:3]}, {"retrain": False}],
    ids=str,
)
def test_a_directory_of_other_settings_is_refused(tmp_path, options):
    climbing(directory=tmp_path).run(1)
    with pytest.raises(RunMismatch, match=next(iter(options))):
        climbing(directory=tmp_path, **options)


def test_a_directory_of_another_generator_or_of_something_else_is_refused(tmp_path):
    climbing(directory=tmp_path / "run").run(1)
    other = bigrams().fit(NumpyDataset(SMILES[:5]))
    with pytest.raises(RunMismatch, match="weights"):
        HillClimbing(
            other,
            oxygens,
            samples=40,
            keep=10,
            reference=SMILES,
            seed=3,
            directory=tmp_path / "run",
        )
    with pytest.raises(RunMismatch, match="other files"):
        climbing(directory=tmp_path)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("run.json", b"{"),
        ("run.json", b"[]"),
        ("run.json", b"[" * 100_000),
        ("run.json", b'{"format": 2}'),
        ("round-0002/round.json", b'{"number": 2}'),
        ("round-0002/round.json", b""),
        ("round-0001/molecules.csv", b"smiles,score\nCC,high\n"),
        ("round-0001/molecules.csv", b"\xff\xfe"),
        ("round-0002/weights.npz", b""),
        ("round-0002/weights.npz", b"PK\x03\x04"),
    ],
    ids=str,
)
def test_a_damaged_directory_is_a_typed_error(tmp_path, name, content):
    climbing(directory=tmp_path).run(2)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(RunMismatch):
        climbing(directory=tmp_path)


def test_other_weights_than_the_round_ended_with_are_refused(tmp_path):
    loop = climbing(directory=tmp_path)
    loop.run(1)
    path = tmp_path / "round-0001" / "weights.npz"
    with np.load(path) as arrays:
        changed = {name: arrays[name] + 1 for name in arrays}
    np.savez(path, **changed)
    with pytest.raises(RunMismatch, match="other weights"):
        climbing(directory=tmp_path)


@pytest.mark.parametrize("returned", [[1.0], "high", np.zeros((40, 2)), None], ids=str)
def test_a_score_that_is_not_one_number_each_is_refused(returned):
    loop = HillClimbing(bigrams(), lambda smiles: returned, samples=40)
    with pytest.raises(DatasetError):
        loop.run(1)


def test_infinite_scores_do_not_count():
    def score(smiles):
        return [np.inf if "O" in text else float(len(text)) for text in smiles]

    loop = HillClimbing(bigrams(), score, samples=40)
    (done,) = loop.run(1)
    assert np.isfinite([done.mean, done.kept, *done.quantiles]).all()
    assert [np.isnan(row.y[0]) for row in loop.molecules] == ["O" in r.X for r in loop.molecules]


def test_no_molecule_with_a_score_is_an_error():
    with pytest.raises(EmptyDataset):
        HillClimbing(InOrder([["C1", "x"]]), oxygens).run(1)
    with pytest.raises(EmptyDataset):
        HillClimbing(bigrams(), lambda smiles: np.full(len(smiles), np.nan)).run(1)
