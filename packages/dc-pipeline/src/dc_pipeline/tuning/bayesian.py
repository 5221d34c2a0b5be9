"""Choose trials from the outcomes of earlier ones, by Optuna's samplers."""

from __future__ import annotations

from copy import deepcopy
from functools import partial
from typing import Any

from dc_core import check_count
from dc_core.errors import ParameterError
from dc_pipeline.tuning.candidates import Candidates, propose
from dc_pipeline.tuning.domains import Domain, Integer, LogUniform, Uniform
from dc_pipeline.tuning.pruning import new_study, optuna, quiet
from dc_pipeline.tuning.trials import Outcome
from dc_pipeline.tuning.tuner import Rounds, Tuner


class OptunaTuner(Tuner):
    """Tries parameters that Optuna suggests, given the trials so far.

    Rounds of ``parallel`` trials are proposed together and run at the same time, on as many workers
    of the engine. So equal seeds and equal ``parallel`` give equal trials, on every engine. More in
    parallel take less time, and learn less from each other.

    ``sampler`` is one of Optuna's, with a seed of its own; the default is
    ``TPESampler(seed=seed)``, the tree-structured Parzen estimator (Bergstra et al. 2011), whose
    first ten trials are random. ``pruner`` is one of Optuna's too, such as ``MedianPruner()``: a
    trial is compared, after each fold of a cross-validation or each epoch of a network, with the
    trials of earlier rounds, and given up if it does worse.

    Needs Optuna: ``pip install "dc-pipeline[tune]"``.

    Raises :class:`ParameterError` for numbers out of range, and for what is no sampler or pruner.
    """

    def __init__(
        self,
        trials: int = 50,
        *,
        sampler: Any = None,
        pruner: Any = None,
        parallel: int = 4,
        seed: int = 0,
    ) -> None:
        self.trials = check_count("trials", trials, minimum=1)
        self.parallel = check_count("parallel", parallel, minimum=1)
        self.seed = check_count("seed", seed, minimum=0, maximum=2**32 - 1)
        module = optuna()
        if sampler is not None and not isinstance(sampler, module.samplers.BaseSampler):
            raise ParameterError(
                f"sampler={sampler!r} is not a sampler of Optuna.",
                hint="For example: optuna.samplers.GPSampler(seed=0).",
            )
        if pruner is not None and not isinstance(pruner, module.pruners.BasePruner):
            raise ParameterError(
                f"pruner={pruner!r} is not a pruner of Optuna.",
                hint="For example: optuna.pruners.MedianPruner().",
            )
        self.sampler = sampler
        self.pruner = pruner

    def rounds(self, candidates: Candidates, *, greater_is_better: bool) -> Rounds:
        """Yield ``parallel`` trials at a time."""
        study = new_study(
            greater_is_better=greater_is_better,
            sampler=self._new_sampler(),
            pruner=deepcopy(self.pruner),
        )
        count = self.trials or 0
        for first in range(0, count, self.parallel):
            asked, proposals = [], []
            for _ in range(min(self.parallel, count - first)):
                with quiet():
                    trial = study.ask()
                    proposals.append(propose(candidates, partial(_suggest, trial)))
                asked.append(trial)
            outcomes = yield proposals
            for trial, outcome in zip(asked, outcomes, strict=True):
                with quiet():
                    _tell(study, trial, outcome)

    def _new_sampler(self) -> Any:
        """Return the sampler as it was given: proposing changes its random numbers."""
        if self.sampler is not None:
            return deepcopy(self.sampler)
        with quiet():
            return optuna().samplers.TPESampler(seed=self.seed, constant_liar=self.parallel > 1)


def _suggest(trial: Any, name: str, domain: Domain) -> Any:
    """Return the label that Optuna suggests for a parameter of ``trial``."""
    if isinstance(domain, Uniform):
        log = isinstance(domain, LogUniform)
        return float(trial.suggest_float(name, domain.low, domain.high, log=log))
    if isinstance(domain, Integer):
        return int(trial.suggest_int(name, domain.low, domain.high, log=domain.log))
    return trial.suggest_categorical(name, domain.labels())


def _tell(study: Any, trial: Any, outcome: Outcome) -> None:
    """Let Optuna know how a trial ended."""
    states = optuna().trial.TrialState
    for step, value in outcome.reports.items():
        trial.report(value, step)
    if outcome.status == "ok":
        study.tell(trial, sum(outcome.scores) / len(outcome.scores))
    else:
        study.tell(trial, state=states.PRUNED if outcome.status == "pruned" else states.FAIL)
