"""``GeneratorPipeline``: featurizer and generator as one model."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any, Self

import numpy as np

from dc_core import (
    Dataset,
    Failure,
    FailureReport,
    Featurizer,
    Generator,
    NumpyDataset,
    check_dataset,
    dtypes,
    set_origins,
    take_rows,
)
from dc_core.errors import DatasetError, EmptyDataset, ParameterError
from dc_pipeline.inputs import as_sequence

logger = logging.getLogger(__name__)


class GeneratorPipeline(Generator):
    """Featurizer and generator, which are fitted, stored and used as one model.

    It learns from raw inputs, such as SMILES, and generates more of them. The ``featurizer`` turns
    an input into features and, by its ``decode``, features into an input, as
    :class:`SmilesTokens` does. ``generator`` learns from features and generates some.

    What fails is never dropped silently: :attr:`failures` is the report of the last call.

    Raises :class:`ParameterError` if a part is not of its kind.
    """

    def __init__(self, generator: Generator, featurizer: Featurizer[Any]) -> None:
        for name, part, kind in (
            ("generator", generator, Generator),
            ("featurizer", featurizer, Featurizer),
        ):
            if not isinstance(part, kind):
                raise ParameterError(
                    f"{name} must be a dc_core.{kind.__name__}, not of type {type(part).__name__}."
                )
        if not callable(getattr(featurizer, "decode", None)):
            raise ParameterError(
                f"{type(featurizer).__name__} cannot turn features into inputs again.",
                hint="Use one with a method decode(features), such as SmilesTokens.",
            )
        self.generator = generator
        self.featurizer = featurizer
        self.failures = FailureReport()

    def fit(self, dataset: Dataset, *, valid: Dataset | None = None, **options: Any) -> Self:
        """Fit the generator to the rows of ``dataset``; y is not used.

        Rows that cannot be featurized, or that could not be written again, are left out: SMILES
        with a token that the vocabulary lacks, for instance. They are in :attr:`failures`.

        ``valid`` and the ``options`` go to the generator's ``fit``.

        Raises :class:`EmptyDataset` if no row is left, and what the generator's ``fit`` raises.
        """
        train, failures = self._featurized(dataset, "training")
        if valid is not None:
            options["valid"], others = self._featurized(valid, "validation")
            failures = FailureReport((*failures, *others))
        self.failures = failures
        if "callbacks" in options:
            options["callbacks"] = [each.within(self) for each in options["callbacks"]]
        self.generator.fit(train, **options)
        set_origins(self, ())
        return self

    def sample(self, n: int, seed: int, **options: Any) -> Dataset:
        """Return ``n`` new inputs as text; equal seeds give equal ones.

        Nothing says that they are valid: see :class:`HillClimbing`, which checks. Rows that cannot
        be decoded are empty, and in :attr:`failures`. ``options`` go to the generator's ``sample``.
        """
        texts, failures = self._decoded(self.generator.sample(n, seed, **options).X)
        self.failures = FailureReport(tuple(failures))
        return NumpyDataset(np.array(texts, dtypes.TEXT))

    def _decoded(self, features: Any) -> tuple[list[str], list[Failure]]:
        """Return the text of each row of features, empty where there is none, and why."""
        coder: Any = self.featurizer
        texts: list[str] = []
        failures: list[Failure] = []
        for row, numbers in enumerate(features):
            try:
                texts.append(coder.decode(numbers))
            except DatasetError as error:
                texts.append("")
                failures.append(Failure(row, "", "feature", str(error.args[0])))
        return texts, failures

    def _featurized(self, dataset: Dataset, role: str) -> tuple[Dataset, FailureReport]:
        """Return the features of the usable rows of ``dataset``, and a report on the others."""
        check_dataset(dataset)
        if len(dataset) == 0:
            raise EmptyDataset(f"The {role} data has no row.")
        inputs = as_sequence(dataset)
        features = self.featurizer.featurize(inputs)
        ok, failures = features.ok.copy(), list(features.failures)
        _, others = self._decoded(features.values)
        for failure in others:
            if ok[failure.row]:
                failures.append(replace(failure, input=str(inputs[failure.row])))
                ok[failure.row] = False
        failures.sort(key=lambda failure: failure.row)
        report = FailureReport(tuple(failures))
        if failures:
            logger.warning("%s data: %s", role, report)
        if not ok.any():
            raise EmptyDataset(f"The {role} data has no usable row: {report}.")
        return NumpyDataset(take_rows(features.values, ok)), report
