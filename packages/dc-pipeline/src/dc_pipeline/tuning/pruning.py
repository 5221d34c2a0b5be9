"""Give up trials that do worse than others, by Optuna's pruners.

A pruner compares a trial with those that were finished when its round was proposed, which the
journal has: what is pruned depends neither on the engine nor on which trial is faster.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dc_core.errors import ParameterError
from dc_core.training import Callback, Epoch
from dc_pipeline.tuning.journal import parse_trial, read_lines
from dc_pipeline.tuning.trials import Outcome

STUDY = "tuning"
"""The name of a study, by which some pruners and samplers draw."""


class Pruned(Exception):
    """The trial is given up."""


def optuna() -> Any:
    """Return the module ``optuna``.

    Raises :class:`ParameterError` with what to install if it is missing.
    """
    try:
        import optuna as module
    except ModuleNotFoundError as error:
        raise ParameterError(
            "Optuna is not installed.", hint='Run: pip install "dc-pipeline[tune]"'
        ) from error
    return module


@contextmanager
def quiet() -> Iterator[None]:
    """Keep Optuna from announcing every study, and from warning of experimental features."""
    import warnings

    module = optuna()
    verbosity = module.logging.get_verbosity()
    module.logging.set_verbosity(module.logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", module.exceptions.ExperimentalWarning)
            yield
    finally:
        module.logging.set_verbosity(verbosity)


def new_study(*, greater_is_better: bool, sampler: Any = None, pruner: Any = None) -> Any:
    """Return an empty study in memory."""
    module = optuna()
    with quiet():
        return module.create_study(
            study_name=STUDY,
            direction="maximize" if greater_is_better else "minimize",
            sampler=sampler or module.samplers.RandomSampler(seed=0),
            pruner=pruner or module.pruners.NopPruner(),
        )


class Reporter:
    """Reports how trial ``number`` does, and raises :class:`Pruned` when it is to be given up.

    ``journal`` has the trials that were finished when it was proposed, of which there are
    ``known``.
    """

    def __init__(
        self, number: int, known: int, journal: Path, pruner: Any, *, greater_is_better: bool
    ) -> None:
        module = optuna()
        self.reports: dict[int, float] = {}
        self._study = new_study(greater_is_better=greater_is_better, pruner=pruner)
        state = module.trial.TrialState
        states = {"ok": state.COMPLETE, "pruned": state.PRUNED}
        with quiet():
            for n, line in enumerate(read_lines(journal)[1 : known + 1]):
                _, outcome = parse_trial(journal, n, line)
                self._study.add_trial(
                    module.trial.create_trial(
                        state=states.get(outcome.status, state.FAIL),
                        value=_value(outcome),
                        intermediate_values=dict(outcome.reports),
                        system_attrs=dict(outcome.notes),
                    )
                )
            for _ in range(number - known):  # of the same round
                self._study.add_trial(module.trial.create_trial(state=state.RUNNING))
            self._trial = self._study.ask()

    def __call__(self, value: float, step: int) -> None:
        """Report a value.

        Raises :class:`Pruned` if the trial is to be given up.
        """
        self.reports[step] = value
        self._trial.report(value, step)
        if self._trial.should_prune():
            raise Pruned

    @property
    def notes(self) -> Mapping[str, Any]:
        """The pruner's record of the trial."""
        trial = self._study.get_trials(deepcopy=False)[self._trial.number]
        return {
            name: value
            for name, value in trial.system_attrs.items()
            if isinstance(value, bool | int | float | str)
        }


class EpochReports(Callback):
    """Reports the validation loss of each epoch of a network's ``fit``."""

    def __init__(self, reporter: Reporter, *, greater_is_better: bool) -> None:
        self._reporter = reporter
        self._sign = -1 if greater_is_better else 1

    def on_epoch_end(self, model: object, epoch: Epoch) -> None:
        """Report the loss.

        Raises :class:`Pruned`, which ends training, if the trial is to be given up.
        """
        self._reporter(self._sign * epoch.valid_loss, epoch.number)


def _value(outcome: Outcome) -> float | None:
    """Return the value that Optuna keeps of a trial."""
    if outcome.status == "ok":
        return sum(outcome.scores) / len(outcome.scores)
    if outcome.status == "pruned" and outcome.reports:
        return outcome.reports[max(outcome.reports)]
    return None
