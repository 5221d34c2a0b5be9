"""``Tuner``: the base of all tuners, which only choose the trials."""

from __future__ import annotations

import json
import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from dc_core import (
    Component,
    Dataset,
    Estimator,
    Loaded,
    Metric,
    check_dataset,
    engines,
    explained,
)
from dc_core.errors import EmptyDataset, NotSerializable, ParameterError, RunMismatch
from dc_pipeline.benchmarks.statistics import mean_interval
from dc_pipeline.errors import TuningError
from dc_pipeline.flows.fitting import working_directory
from dc_pipeline.metrics.intervals import Interval
from dc_pipeline.pipeline import Pipeline
from dc_pipeline.scale.featurizing import featurize
from dc_pipeline.scale.working import identity, on_disk
from dc_pipeline.splitters.kfold import CrossValidation
from dc_pipeline.tuning.candidates import (
    Candidates,
    Proposal,
    SuggestionError,
    Template,
    build,
)
from dc_pipeline.tuning.domains import Domain
from dc_pipeline.tuning.evaluating import (
    Evaluation,
    Rows,
    among,
    without_featurizer,
)
from dc_pipeline.tuning.journal import Journal
from dc_pipeline.tuning.result import TuningResult
from dc_pipeline.tuning.trials import Outcome, Trial

_LEVEL: Final = 0.95

Rounds = Generator[list[Proposal], list[Outcome], None]
"""Yields the proposals of a round and is sent their outcomes."""


class Tuner(Component, ABC):
    """Finds the parameters that score best; a subclass writes :meth:`rounds`."""

    trials: int | None = None
    """How many trials there are, if that is known before the space is."""

    pruner: Any = None
    """Optuna's pruner by which trials are given up, if any."""

    @abstractmethod
    def rounds(self, candidates: Candidates, *, greater_is_better: bool) -> Rounds:
        """Yield the proposals of one round after another, and get their outcomes.

        The trials of a round run at the same time. Equal outcomes must lead to equal proposals:
        that is how a tuning is resumed.
        """

    @explained
    def tune(
        self,
        model: Any,
        dataset: Dataset,
        metric: Metric,
        *,
        space: Mapping[str, Domain] | None = None,
        valid: Dataset | None = None,
        cross_validation: CrossValidation | None = None,
        directory: str | Path | None = None,
        engine: Any = "serial",
        retries: int = 1,
        timeout: float | None = None,
        progress: Any = None,
    ) -> TuningResult:
        """Try parameters of ``model``, and return the trials and the best model, fitted.

        Args:
            model: A pipeline, or another estimator, which is not changed; every trial makes its own
                from the constructor's arguments. Or, for spaces in which one parameter depends on
                another, a function ``build(suggest)`` that returns an estimator:
                ``suggest(name, domain)`` gives it the value of a parameter.
            dataset: The rows to fit to.
            metric: The score, averaged over the tasks.
            space: The parameters to tune, by path (see :func:`dc_core.with_parameters`), and
                the values that each may take: ``{"model.learning_rate": LogUniform(1e-4, 0.1)}``.
                Not for a function.
            valid: Validation rows. They are passed to the model's ``fit``, which may stop early by
                them, and give the score, unless there is a cross-validation.
            cross_validation: Folds of ``dataset``, of which the mean score counts.
            directory: Where to keep the trials. The same call continues a tuning that was
                interrupted, on any engine, and does not repeat trials that are finished; a tuner
                with more trials adds them. A function is recognized by its name, not its code.
                Every worker must be able to use the directory under this name.
            engine: The engine on which trials run.
            retries: How often a trial is tried again after its worker has died.
            timeout: After how many seconds a trial is given up; with a cross-validation, a fold.
            progress: As in :func:`dc_core.engines.run`; a trial is a row.

        Equal arguments give equal trials, on every engine, if the model has a seed. A trial that
        fails is one without a score. A featurizer that is not tuned runs once for all
        trials.

        The best is fitted to ``dataset``, in this process. As the best of many, its score is
        optimistic: evaluate it on rows that were not used here.

        Raises :class:`ParameterError` for arguments that do not fit together,
        :class:`EmptyDataset` if there are no rows, :class:`RunMismatch` if ``directory`` has
        another tuning, and :class:`TuningError` if no trial has a score.
        """
        candidates = _candidates(model, space)
        _check(dataset, valid, metric, cross_validation)
        with working_directory(directory) as place:
            work = place.absolute()
            work.mkdir(parents=True, exist_ok=True)
            given = [part for part in (dataset, valid) if part is not None]
            names = [identity(part) for part in given]
            parts = [candidates, names, cross_validation, metric, type(self.pruner)]
            key = "" if directory is None else _key(parts)
            journal = Journal(work / "trials.jsonl", key)
            stored = [on_disk(part, name, work) for part, name in zip(given, names, strict=True)]
            chosen = engines.engine(engine) if isinstance(engine, str) else engine
            options = {"engine": chosen, "retries": retries, "timeout": timeout}
            with chosen if isinstance(chosen, engines.Engine) else nullcontext():
                folds = None if cross_validation is None else [*cross_validation.indices(dataset)]
                evaluation = Evaluation(
                    identity=key,
                    candidates=candidates,
                    dataset=stored[0],
                    valid=None if valid is None else stored[-1],
                    folds=folds,
                    metric=metric,
                    pruner=self.pruner,
                    journal=journal.path,
                )
                evaluation = _featurized_once(evaluation, work, options)
                trials, domains = self._run(evaluation, candidates, journal, progress, options)
            best = _best(trials, metric)
            labels = journal.labels[best.number]
            return TuningResult(
                trials=tuple(trials),
                metric=metric,
                best=build(candidates, labels).unfitted().fit(dataset, valid=valid),
                best_trial=best,
                interval=None if folds is None else _interval(best, folds),
                domains=domains,
            )

    def _run(
        self,
        evaluation: Evaluation,
        candidates: Candidates,
        journal: Journal,
        progress: Any,
        options: Mapping[str, Any],
    ) -> tuple[list[Trial], dict[str, Domain]]:
        """Run the rounds, or take them from the journal, and return the trials."""
        trials: list[Trial] = []
        domains: dict[str, Domain] = {}
        better = evaluation.metric.greater_is_better
        rounds = self.rounds(candidates, greater_is_better=better)
        with engines.reporting(progress) as report:
            outcomes: list[Outcome] | None = None
            while True:
                try:
                    proposals = next(rounds) if outcomes is None else rounds.send(outcomes)
                except StopIteration:
                    return trials, domains
                first = len(trials)
                _check_labels(journal, first, proposals)
                shown = _of_all(
                    report, journal, trials, max(self.trials or 0, first + len(proposals))
                )
                _finish(evaluation, journal, first, proposals, {**options, "progress": shown})
                outcomes = journal.outcomes[first : first + len(proposals)]
                for proposal, outcome in zip(proposals, outcomes, strict=True):
                    _add_domains(domains, proposal.domains)
                    trials.append(
                        Trial(
                            len(trials),
                            proposal.values,
                            outcome.status,
                            outcome.scores,
                            outcome.seconds,
                            outcome.message,
                            outcome.reports,
                        )
                    )


def _candidates(model: Any, space: Mapping[str, Domain] | None) -> Candidates:
    """Return the subject of the tuning; raise :class:`ParameterError` for anything else."""
    if isinstance(model, Estimator):
        template = Template(model.unfitted(), {} if space is None else space)
        template.check_paths()
        return template
    if isinstance(model, type) or not callable(model):
        raise ParameterError(
            f"{model!r} cannot be tuned.",
            hint="Give a Pipeline or another estimator, or a function that builds one.",
        )
    if space is not None:
        raise ParameterError(
            "A function asks for its parameters itself, so there is no space to give.",
            hint="Call suggest(name, domain) in the function.",
        )
    build: Candidates = model
    return build


def _check(
    dataset: Dataset,
    valid: Dataset | None,
    metric: Metric,
    cross_validation: CrossValidation | None,
) -> None:
    for given in (dataset,) if valid is None else (dataset, valid):
        check_dataset(given)
        if len(given) == 0:
            raise EmptyDataset("There are no rows to fit to, or to validate on.")
    if not isinstance(metric, Metric):
        raise ParameterError(f"{metric!r} is not a metric.", hint="Give one: RMSE().")
    if cross_validation is not None and not isinstance(cross_validation, CrossValidation):
        raise ParameterError(
            f"{cross_validation!r} is not a cross-validation.",
            hint="Use KFold(RandomSplitter(), k=5), or LeaveGroupOut.",
        )
    if valid is None and cross_validation is None:
        raise ParameterError(
            "There is nothing to score on.",
            hint="Give validation rows, valid=…, or folds: "
            "cross_validation=KFold(RandomSplitter(), k=5).",
        )


def _key(parts: Sequence[Any]) -> str:
    """Return the identity of a tuning that is kept."""
    try:
        return engines.digest(parts)
    except NotSerializable as error:
        raise NotSerializable(
            f"This tuning could not be recognized when it is continued. {error.args[0]}",
            hint="Define functions at the top level of a module and register classes "
            "(@dc_core.register_component), or leave out directory=.",
        ) from error


def _featurized_once(evaluation: Evaluation, work: Path, options: Mapping[str, Any]) -> Evaluation:
    """Run a featurizer that is not tuned, and return the rest to be evaluated."""
    template = evaluation.candidates
    if not isinstance(template, Template) or not isinstance(template.estimator, Pipeline):
        return evaluation
    featurizer = template.estimator.featurizer
    if featurizer is None or template.touches("featurizer"):
        return evaluation

    def features(dataset: Dataset, name: str) -> Loaded:
        return featurize(dataset, featurizer, work / name, progress=False, **options)

    rows, failures = features(evaluation.dataset, "features")
    ok = np.ones(len(evaluation.dataset), bool)
    ok[[failure.row for failure in failures]] = False
    valid = evaluation.valid
    return replace(
        evaluation,
        candidates=Template(without_featurizer(template.estimator), template.space),
        dataset=rows,
        valid=None if valid is None else features(valid, "valid-features").dataset,
        folds=among(evaluation.folds, ok),
    )


def _of_all(
    report: Callable[[engines.Progress], object],
    journal: Journal,
    trials: Sequence[Trial],
    total: int,
) -> Callable[[engines.Progress], object]:
    """Return a function that reports the progress of a round as that of all trials."""
    done, failures = len(journal), sum(trial.status != "ok" for trial in trials)
    return lambda now: report(
        engines.Progress(done + now.done, total, failures + now.failures, now.rate)
    )


def _check_labels(journal: Journal, first: int, proposals: Sequence[Proposal]) -> None:
    """Check that the journal's trials are those that the tuner proposes."""
    known = journal.labels[first : first + len(proposals)]
    for number, (labels, proposal) in enumerate(zip(known, proposals, strict=False), first):
        if json.dumps(labels, sort_keys=True) != json.dumps(proposal.labels, sort_keys=True):
            raise RunMismatch(
                f"Trial {number} in {journal.path} has the parameters {labels}; this tuner "
                f"proposes {proposal.labels}.",
                hint="Continue with the same tuner, seed and number of parallel trials, or choose "
                "another directory.",
            )


def _finish(
    evaluation: Evaluation,
    journal: Journal,
    first: int,
    proposals: Sequence[Proposal],
    options: Mapping[str, Any],
) -> None:
    """Run those trials of a round that the journal does not have."""
    start, stop = max(len(journal), first), first + len(proposals)
    if start >= stop:
        return
    labels = [proposal.labels for proposal in proposals[start - first :]]
    items = [
        {"number": number, "known": first, "parameters": given}
        for number, given in enumerate(labels, start)
    ]
    place = journal.path.with_name(f"trials-{start:06}-{stop:06}")
    results = engines.map(evaluation, items, place, **options)
    journal.append(labels, [_outcome(result) for result in results])
    shutil.rmtree(place, ignore_errors=True)


def _outcome(result: engines.Result) -> Outcome:
    if result.status != "ok":
        return Outcome(result.status, message=result.message)
    value = result.value
    reports = {int(step): float(reported) for step, reported in value["reports"]}
    scores = tuple(map(float, value["scores"]))
    return Outcome(value["status"], scores, value["seconds"], "", reports, value["notes"])


def _add_domains(known: dict[str, Domain], domains: Mapping[str, Domain]) -> None:
    for name, domain in domains.items():
        if known.setdefault(name, domain) != domain:
            raise SuggestionError(
                f"{name!r} is asked for from two domains: {known[name]!r} and {domain!r}.",
                hint="Give the two parameters different names.",
            )


def _best(trials: Sequence[Trial], metric: Metric) -> Trial:
    """Return the first of the trials with the best score."""
    ok = [trial for trial in trials if trial.status == "ok"]
    if not ok:
        first = trials[0]
        reason = f": {first.message}" if first.message else "."
        raise TuningError(
            f"None of the {len(trials)} trials has a score. The status of trial 0, with "
            f"{dict(first.parameters)}, is {first.status}{reason}"
        )
    scores = [trial.score for trial in ok]
    return ok[int(np.argmax(scores) if metric.greater_is_better else np.argmin(scores))]


def _interval(trial: Trial, folds: Sequence[Rows]) -> Interval:
    """Return the confidence interval of the mean over the folds."""
    ratio = float(np.mean([len(test) / len(train) for train, test in folds]))
    return mean_interval(np.array(trial.scores), _LEVEL, ratio)
