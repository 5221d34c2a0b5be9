"""Tune the parameters of a run, and then train as the best of them say."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Self

from dc_core import with_parameters
from dc_core.errors import MissingParameter, ParameterError
from dc_pipeline.command.components import Made, Spec, make
from dc_pipeline.command.configuration import Run, checked_table
from dc_pipeline.command.printing import Narrator
from dc_pipeline.command.training import Session, Trained, train
from dc_pipeline.errors import PipelineError
from dc_pipeline.splitters.division import DividingSplitter
from dc_pipeline.splitters.kfold import KFold
from dc_pipeline.splitters.random import RandomSplitter
from dc_pipeline.tuning.bayesian import OptunaTuner
from dc_pipeline.tuning.domains import Choice, Domain, Integer, LogUniform, Uniform
from dc_pipeline.tuning.grid import GridTuner
from dc_pipeline.tuning.random import RandomTuner
from dc_pipeline.tuning.result import TuningResult
from dc_pipeline.tuning.tuner import Tuner

TRIALS: Final = "trials.jsonl"

_TUNERS: Final[Mapping[str, type[Tuner]]] = {
    "grid": GridTuner,
    "optuna": OptunaTuner,
    "random": RandomTuner,
}
_DOMAINS: Final[Mapping[str, Callable[..., Domain]]] = {
    "choice": Choice,
    "integer": Integer,
    "log-uniform": LogUniform,
    "uniform": Uniform,
}
_PARTS: Final = ("featurizer", "model")
"""The components of a run whose parameters can be tuned."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuning:
    """The table ``tuning``: how parameters are tried, and which values they may take.

    With ``folds`` trials are scored by a cross-validation of the training rows, else on valid.
    """

    space: Mapping[str, Mapping[str, list[Any]]]
    tuner: Spec | None = None
    metric: Spec | None = None
    folds: int = 0

    @classmethod
    def of(cls, content: Mapping[str, Any]) -> Self:
        """Return the checked table.

        Raises :class:`ParameterError` and the like, as :meth:`Run.of` does.
        """
        found = checked_table("tuning", content, _KEYS)
        if not found.get("space"):
            raise MissingParameter(
                "'tuning.space' is not given.",
                hint='Name a parameter: "model.alpha" = { log-uniform = [0.01, 100.0] }.',
            )
        return cls(**found)


def tune(
    run: Run, tuning: Tuning, narrator: Narrator, options: Mapping[str, Any]
) -> tuple[TuningResult, Trained]:
    """Try the parameters in the space, then train with the best; return both results.

    The result in ``run.out`` is that of :func:`train` with the best parameters, and has the trials
    in ``trials.jsonl``. Trials are kept in ``<out>.tuning`` until then, where the same call goes
    on. ``options`` are ``engine`` and ``timeout`` of :meth:`Tuner.tune`.

    Raises :class:`PipelineError` if ``run.out`` exists, and what tuning and training raise.
    """
    out = Path(run.out)
    if out.exists():
        raise PipelineError(f"{out} exists already.", hint="Choose a new directory: --out.")
    tuner = _tuner(tuning.tuner or Spec("optuna"), run.seed)
    session = Session(run, narrator)
    metric = (
        session.metrics[0] if tuning.metric is None else make("metric", tuning.metric).component
    )
    space = {key: _domain(key, value) for key, value in tuning.space.items()}
    _check_widths(session, space)
    work = out.with_name(f"{out.name}.tuning")
    by_rows = {"valid": session.split.valid}
    narrator.say(f"tuning {', '.join(space)} by {tuner!r}")
    with narrator.progress("tuning") as progress:
        result = tuner.tune(
            session.pipeline,
            session.split.train,
            metric,
            space={_path(key, session.model): domain for key, domain in space.items()},
            directory=work,
            progress=progress,
            **(_by_folds(session, tuning.folds, run.seed) if tuning.folds else by_rows),
            **options,
        )
    best = {key: result.best_parameters[_path(key, session.model)] for key in space}
    trained = train(_with(run, best), narrator)
    shutil.copyfile(work / TRIALS, out / TRIALS)
    shutil.rmtree(work, ignore_errors=True)
    return result, trained


def _tuner(spec: Spec, seed: int) -> Tuner:
    if spec.name not in _TUNERS:
        raise ParameterError(
            f"There is no tuner {spec.name!r}.", hint=f"There are: {', '.join(_TUNERS)}."
        )
    cls = _TUNERS[spec.name]
    seeded = {} if cls is GridTuner else {"seed": seed}
    return cls(**{**seeded, **spec.parameters})


def _by_folds(session: Session, folds: int, seed: int) -> dict[str, Any]:
    splitter = session.splitter
    divides = splitter if isinstance(splitter, DividingSplitter) else RandomSplitter(seed=seed)
    return {"cross_validation": KFold(divides, k=folds)}


def _domain(key: str, value: Any) -> Domain:
    """Return the values that a parameter may take: ``{ uniform = [0.0, 0.5] }``."""
    part, _, parameter = key.partition(".")
    if part not in _PARTS or not parameter:
        raise ParameterError(
            f"tuning.space has {key!r}, which is not a parameter.",
            hint="Name one of the featurizer or the model: 'model.alpha'.",
        )
    if isinstance(value, Mapping) and len(value) == 1:
        ((name, bounds),) = value.items()
        if name in _DOMAINS and isinstance(bounds, list):
            try:
                return _DOMAINS[name](*bounds)
            except TypeError as error:
                raise ParameterError(f"tuning.space.{key} has {bounds!r}: {error}.") from error
    raise ParameterError(
        f"tuning.space.{key} is {value!r}.",
        hint="Write { uniform = [low, high] }, { log-uniform = [low, high] }, "
        "{ integer = [low, high] } or { choice = [value, value] }.",
    )


def _check_widths(session: Session, space: Mapping[str, Domain]) -> None:
    """Raise :class:`ParameterError` if features could get another width than the model takes."""
    featurizer, model = session.pipeline.featurizer, session.model.spec.parameters
    if featurizer is None or "n_features" not in model:
        return
    for key, domain in space.items():
        part, _, parameter = key.partition(".")
        if part != "featurizer":
            continue
        if isinstance(domain, Choice):
            values = [domain.value(label) for label in domain.labels()]
        else:
            values = [domain.low, domain.high] if isinstance(domain, Integer | Uniform) else []
        for value in values:
            features = with_parameters(featurizer, {parameter: value}).featurize([]).values
            width = getattr(features, "shape", (0, 0))[-1]
            if width != model["n_features"]:
                raise ParameterError(
                    f"With {key} = {value!r} there are {width} features; the model is made for "
                    f"n_features={model['n_features']}, which is the same in all trials.",
                    hint="Tune the width in Python, by a function that makes the whole pipeline, "
                    "or use a model that takes any width.",
                )


def _path(key: str, model: Made) -> str:
    """Return the path of a parameter in the pipeline, where a framework's object is wrapped."""
    part, _, parameter = key.partition(".")
    return f"model.{model.within}{parameter}" if part == "model" else key


def _with(run: Run, values: Mapping[str, Any]) -> Run:
    """Return ``run`` with other parameters of its featurizer and its model."""
    for key, value in values.items():
        part, _, parameter = key.partition(".")
        spec: Spec = getattr(run, part)
        changed: Any = Spec(spec.name, {**spec.parameters, parameter: value})
        run = replace(run, **{part: changed})
    return run


def _space(key: str, value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ParameterError(f"{key} is {value!r}, which is not a table.")
    return value


def _folds(key: str, value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 2:
        raise ParameterError(f"{key} is {value!r}.", hint="Write an integer of at least 2.")
    return value


_KEYS: Final[Mapping[str, Callable[[str, Any], Any]]] = {
    "tuner": Spec.of,
    "metric": Spec.of,
    "folds": _folds,
    "space": _space,
}
