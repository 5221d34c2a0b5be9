"""Fit several models to rows of one dataset, on any engine."""

from __future__ import annotations

import json
import stat
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np

from dc_core import Dataset, Estimator, Metric, engines
from dc_core.errors import RunMismatch
from dc_pipeline.scale.working import identity, on_disk
from dc_pipeline.training_rows import evaluate

E = TypeVar("E", bound=Estimator)

_RECORD: Final = "fit.json"
_PREDICTION: Final = "prediction.npy"
_MODEL: Final = "model"


@dataclass(frozen=True)
class Fit:
    """The work for one model: the row numbers to fit it to, and those to test it on, if any."""

    model: Estimator
    train: np.ndarray
    test: np.ndarray = field(default_factory=lambda: np.zeros(0, np.intp))


@dataclass(frozen=True)
class Fitted:
    """The outcome of a fit: ``status`` is ok, error, crash or timeout, with its message.

    ``scores`` are those of the test rows and ``prediction`` is theirs; ``directory`` has the model
    if it was kept.
    """

    status: str
    message: str = ""
    scores: Mapping[str, float] = field(default_factory=dict)
    prediction: np.ndarray | None = None
    directory: Path | None = None


@dataclass(frozen=True)
class FitModels(engines.Task):
    """Fits models, one a row, each made anew by ``unfitted()``; the results are files."""

    dataset: Dataset
    fits: tuple[Fit, ...]
    valid: Dataset | None = None
    metrics: tuple[Metric, ...] = ()
    keep: bool = False
    resumable: bool = True
    first: int = 0

    def __len__(self) -> int:
        """Return the number of models."""
        return len(self.fits)

    @property
    def key(self) -> str:
        """A digest of the models and the data, unless the results are not kept."""
        return super().key if self.resumable else ""

    def part(self, start: int, stop: int) -> FitModels:
        """Return the task with these models alone."""
        fits = self.fits[start - self.first : stop - self.first]
        given = (self.dataset, fits, self.valid, self.metrics, self.keep, self.resumable)
        return FitModels(*given, first=start)

    def run(self, start: int, stop: int, directory: Path) -> None:
        """Fit the one model, and write its scores and predictions, or why it failed."""
        (fit,) = self.fits[start - self.first : stop - self.first]
        try:
            record = self._fitted(fit, directory)
        except Exception as error:  # noqa: BLE001 - it is the result
            record = {"status": "error", "message": f"{type(error).__name__}: {error}"}
        (directory / _RECORD).write_text(json.dumps(record), encoding="utf-8")

    def _fitted(self, fit: Fit, directory: Path) -> dict[str, Any]:
        model = fit.model.unfitted()
        options = {} if self.valid is None else {"valid": self.valid}
        model.fit(self.dataset.select(fit.train), **options)
        engines.alive()
        scores = {}
        if len(fit.test):
            test = self.dataset.select(fit.test)
            prediction = model.predict(test)
            np.save(directory / _PREDICTION, prediction, allow_pickle=False)
            if self.metrics:
                scores = evaluate(model, test, self.metrics, allow_train=True)
        if self.keep:
            model.to_pretrained(directory / _MODEL)
            # The hub's files are read-only; what an engine commits has to be writable.
            for path in (directory / _MODEL).rglob("*"):
                path.chmod(path.stat().st_mode | stat.S_IWUSR)
        return {"status": "ok", "scores": scores}


def fit_models(
    dataset: Dataset,
    fits: Sequence[Fit],
    place: Path,
    *,
    valid: Dataset | None = None,
    metrics: Sequence[Metric] = (),
    keep: bool = False,
    engine: Any = "serial",
    resumable: bool = True,
    **options: Any,
) -> list[Fitted]:
    """Fit the models and return the outcome of each, in order.

    The results are in ``place``, where a call that was interrupted continues if ``resumable``.
    ``options`` are those of :func:`dc_core.engines.run`.
    """
    if engine != "serial" or resumable:
        place.mkdir(parents=True, exist_ok=True)
        dataset = on_disk(dataset, identity(dataset), place)
        valid = None if valid is None else on_disk(valid, identity(valid), place)
    task = FitModels(dataset, tuple(fits), valid, tuple(metrics), keep, resumable)
    shards = engines.run(task, place / "run", engine=engine, shard_rows=1, **options)
    return [_result(shard, keep=keep) for shard in shards]


@contextmanager
def working_directory(directory: Any) -> Iterator[Path]:
    """Give ``directory``, or one that is removed at the end if it is None."""
    if directory is not None:
        yield Path(directory)
        return
    # Where mapped files cannot be removed, what is left is the system's to remove.
    with tempfile.TemporaryDirectory(prefix="dc-fit-", ignore_cleanup_errors=True) as place:
        yield Path(place)


def load_fitted(model: E, directory: Path) -> E:
    """Give the weights and classes of the model stored in ``directory`` to ``model``."""
    stored = type(model).from_pretrained(directory)
    model.import_weights(stored.export_weights(copy=False))
    model.set_classes(stored.classes)
    return model


def _result(shard: engines.Shard, *, keep: bool) -> Fitted:
    if shard.status != "ok":
        return Fitted(shard.status, shard.message or "The worker died.")
    path = shard.path / _RECORD
    try:
        record = json.loads(path.read_bytes())
        status, scores = str(record["status"]), dict(record.get("scores", {}))
        scores = {str(name): float(value) for name, value in scores.items()}
        if status != "ok":
            return Fitted(status, str(record["message"]))
        path = shard.path / _PREDICTION
        prediction = np.load(path, allow_pickle=False) if path.exists() else None
    except (OSError, ValueError, TypeError, KeyError, AttributeError, EOFError) as error:
        raise RunMismatch(
            f"{path} cannot be read: {type(error).__name__}: {error}.",
            hint=f"Delete {shard.path} and call again: only that model is fitted anew.",
        ) from error
    return Fitted("ok", "", scores, prediction, shard.path / _MODEL if keep else None)
