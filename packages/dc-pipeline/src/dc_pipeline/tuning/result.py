"""The result of a tuning: all trials, and the best estimator, fitted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dc_core import Estimator, Metric, html_table, make_table
from dc_pipeline.metrics.intervals import Interval
from dc_pipeline.tuning.domains import Domain, Integer, LogUniform, Uniform, label_of
from dc_pipeline.tuning.pruning import new_study, optuna, quiet
from dc_pipeline.tuning.trials import Trial

_SHOWN = 20
"""How many trials a notebook shows."""


@dataclass(frozen=True, repr=False)
class TuningResult:
    """All trials of a tuning, and the best.

    ``best`` is the estimator of the parameters that scored best, fitted, and ready for
    ``to_pretrained``. ``interval`` is the 95 % confidence interval of its score if it was
    cross-validated: Student's, with the correction of Nadeau and Bengio
    (doi:10.1023/A:1024068626366) for training sets that overlap. It does not account for its being
    the best of many.
    """

    trials: tuple[Trial, ...]
    metric: Metric
    best: Estimator
    best_trial: Trial
    interval: Interval | None
    domains: Mapping[str, Domain]

    @property
    def best_parameters(self) -> dict[str, Any]:
        """The parameters that scored best."""
        return dict(self.best_trial.parameters)

    @property
    def best_score(self) -> float:
        """The best score: the mean over the folds if it was cross-validated."""
        return self.best_trial.score

    def to_dataframe(self, backend: str | None = None) -> Any:
        """Return a row for each trial as a DataFrame of pandas, Polars or Arrow (``"pyarrow"``).

        The columns are ``trial``, ``status``, ``score``, ``seconds``, one for each parameter, and
        ``message``. Parameters that a trial does not have are missing, and values other than
        numbers and texts are shown as text.
        """
        trials = self.trials
        columns: dict[str, Any] = {
            "trial": [trial.number for trial in trials],
            "status": [trial.status for trial in trials],
            "score": [trial.score for trial in trials],
            "seconds": [trial.seconds for trial in trials],
        }
        for name in self.domains:
            labels = [
                label_of(trial.parameters[name]) if name in trial.parameters else None
                for trial in trials
            ]
            given = {type(label) for label in labels if label is not None}
            if len(given - {int, float}) > (0 if given & {int, float} else 1):
                labels = [None if label is None else str(label) for label in labels]
            columns[name] = labels
        columns["message"] = [trial.message for trial in trials]
        return make_table(columns, backend)

    def study(self) -> Any:
        """Return the trials as a study of Optuna, in memory, for its plots and its dashboard.

        ``optuna.copy_study`` puts it into a database. Needs Optuna:
        ``pip install "dc-pipeline[tune]"``.
        """
        module = optuna()
        study = new_study(greater_is_better=self.metric.greater_is_better)
        state = module.trial.TrialState
        states = {"ok": state.COMPLETE, "pruned": state.PRUNED}
        distributions = {name: _distribution(domain) for name, domain in self.domains.items()}
        with quiet():
            for trial in self.trials:
                study.add_trial(
                    module.trial.create_trial(
                        state=states.get(trial.status, state.FAIL),
                        value=trial.score if trial.status == "ok" else None,
                        params={name: label_of(v) for name, v in trial.parameters.items()},
                        distributions={name: distributions[name] for name in trial.parameters},
                        intermediate_values=dict(trial.reports),
                    )
                )
        return study

    def importance(self) -> dict[str, float]:
        """Return how much each parameter matters for the score, the largest first; they add to 1.

        It is PED-ANOVA (Watanabe et al. 2023, doi:10.24963/ijcai.2023/488), by Optuna, on the
        trials that are ok: how much the parameters of the better ones differ from those of all.
        Needs Optuna: ``pip install "dc-pipeline[tune]"``.
        """
        module = optuna()
        with quiet():
            evaluator = module.importance.PedAnovaImportanceEvaluator()
            found = module.importance.get_param_importances(self.study(), evaluator=evaluator)
        return {name: float(value) for name, value in found.items()}

    def __str__(self) -> str:
        """Show the best score and how the trials ended."""
        counts = Counter(trial.status for trial in self.trials)
        ended = ", ".join(f"{n} {status}" for status, n in counts.items())
        score = self.interval or f"{self.best_score:.4g}"
        return f"best {self.metric.name} {score} of {len(self.trials)} trials ({ended})"

    def __repr__(self) -> str:
        """Show the best score and how the trials ended."""
        return f"TuningResult({self})"

    def _repr_html_(self) -> str:
        """Show the best trials in a notebook."""
        sign = -1 if self.metric.greater_is_better else 1

        def place(trial: Trial) -> tuple[bool, float]:
            ok = trial.status == "ok"
            return not ok, sign * trial.score if ok else 0.0

        ranked = sorted(self.trials, key=place)[:_SHOWN]
        rows = [
            (
                trial.number,
                trial.status,
                f"{trial.score:.4g}" if trial.status == "ok" else trial.message,
                *(label_of(trial.parameters.get(name, "")) for name in self.domains),
            )
            for trial in ranked
        ]
        return html_table(str(self), ("trial", "status", self.metric.name, *self.domains), rows)


def _distribution(domain: Domain) -> Any:
    """Return Optuna's distribution of a domain."""
    module = optuna().distributions
    if isinstance(domain, Uniform):
        return module.FloatDistribution(domain.low, domain.high, isinstance(domain, LogUniform))
    if isinstance(domain, Integer):
        return module.IntDistribution(domain.low, domain.high, domain.log)
    return module.CategoricalDistribution(domain.labels())
