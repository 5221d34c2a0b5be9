"""Figures of a tuning: what is drawn is what was tried."""

import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("matplotlib", reason="the figures are matplotlib's")

from dc_core import Estimator, NumpyDataset
from dc_core.errors import ParameterError
from dc_pipeline import (
    RMSE,
    Choice,
    LogUniform,
    RandomTuner,
    plot_history,
    plot_importance,
    plot_parallel,
    plot_slices,
)


class Valley(Estimator):
    fitted = ("depth",)

    def __init__(self, rate, kind):
        self.rate, self.kind, self.depth = rate, kind, None

    def fit(self, dataset, *, valid=None):
        if self.kind == "none":
            raise ParameterError("There is no such kind.")
        self.depth = np.array(abs(np.log10(self.rate)) + 1)
        return self

    def predict(self, dataset):
        return np.full((len(dataset), 1), self.depth)


@pytest.fixture(scope="module")
def result():
    rows = NumpyDataset(np.zeros((3, 1)), np.zeros(3))
    space = {"rate": LogUniform(1e-3, 1e3), "kind": Choice("one", "two", "none")}
    return RandomTuner(15).tune(Valley(1.0, "one"), rows, RMSE(), space=space, valid=rows)


def ok(result):
    return [trial for trial in result.trials if trial.status == "ok"]


def drawn(figure):
    figure.canvas.draw()
    return figure


def test_the_history_has_every_trial_and_the_best_so_far(result):
    (axes,) = drawn(plot_history(result)).axes
    points, best, lost = axes.lines
    assert list(points.get_xdata()) == [t.number for t in ok(result)]
    assert list(points.get_ydata()) == [t.score for t in ok(result)]
    assert list(best.get_ydata()[:-1]) == list(np.minimum.accumulate(points.get_ydata()))
    assert (best.get_xdata()[-1], best.get_ydata()[-1]) == (14, result.best_score)
    assert list(lost.get_xdata()) == [t.number for t in result.trials if t.status == "error"]
    assert axes.get_ylabel() == "rmse"


def test_the_slices_have_an_axis_of_its_own_scale_for_each_parameter(result):
    rate, kind = drawn(plot_slices(result)).axes
    assert (rate.get_xlabel(), kind.get_xlabel()) == ("rate", "kind")
    assert (rate.get_xscale(), kind.get_xscale()) == ("log", "linear")
    points = rate.collections[0].get_offsets()
    expected = [(t.parameters["rate"], t.score) for t in ok(result)]
    np.testing.assert_allclose(points, expected)


def test_the_parallel_lines_are_those_of_the_trials_and_the_best_is_on_top(result):
    (axes,) = drawn(plot_parallel(result)).axes
    lines = [line for line in axes.lines if len(line.get_xdata()) == 2 and line.get_alpha()]
    assert len(lines) == len(ok(result))
    (best,) = (line for line in axes.lines if line.get_label().startswith("best"))
    assert best.get_zorder() == max(line.get_zorder() for line in axes.lines)
    height = (np.log10(result.best_parameters["rate"]) + 3) / 6
    assert best.get_ydata()[0] == pytest.approx(height)


def test_the_importances_are_bars(result):
    pytest.importorskip("optuna", reason="importance is Optuna's")
    (axes,) = drawn(plot_importance(result)).axes
    widths = [bar.get_width() for bar in axes.patches]
    assert widths == pytest.approx(list(result.importance().values()))


def test_plots_do_not_touch_pyplot():
    code = (
        "import sys, dc_pipeline; dc_pipeline.plot_history; "
        "from dc_pipeline.tuning.plots import _figure; _figure(1, 3); "
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
