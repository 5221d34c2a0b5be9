"""``GeneratorPipeline``: featurizer and generator as one model, which writes what it reads."""

from __future__ import annotations

import logging
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
        """Fit the generator to the rows of ``dataset`` that can be featurized; y is not used.

        ``valid`` and the ``options`` go to the generator's ``fit``.

        Raises :class:`EmptyDataset` if no row is left, and what the generator's ``fit`` raises.
        """
        train, failures = self._featurized(dataset, "training")
        if valid is not None:
            options["valid"], others = self._featurized(valid, "validation")
            failures = FailureReport((*failures, *others))
        self.failures = failures
        self.generator.fit(train, **options)
        return self

    def sample(self, n: int, seed: int, **options: Any) -> Dataset:
        """Return ``n`` new inputs as text; equal seeds give equal ones.

        Nothing says that they are valid: see :class:`HillClimbing`, which checks. Rows that cannot
        be decoded are empty, and in :attr:`failures`. ``options`` go to the generator's ``sample``.
        """
        features = self.generator.sample(n, seed, **options)
        coder: Any = self.featurizer
        texts: list[str] = []
        failures: list[Failure] = []
        for row, numbers in enumerate(as_sequence(features)):
            try:
                texts.append(coder.decode(numbers))
            except DatasetError as error:
                texts.append("")
                failures.append(Failure(row, "", "feature", str(error.args[0])))
        self.failures = FailureReport(tuple(failures))
        return NumpyDataset(np.array(texts, dtypes.TEXT))

    def _featurized(self, dataset: Dataset, role: str) -> tuple[Dataset, FailureReport]:
        """Return the features of the usable rows of ``dataset``, and a report on the others."""
        check_dataset(dataset)
        if len(dataset) == 0:
            raise EmptyDataset(f"The {role} data has no row.")
        features = self.featurizer.featurize(as_sequence(dataset))
        if features.failures.failures:
            logger.warning("%s data: %s", role, features.failures)
        if not features.ok.any():
            raise EmptyDataset(f"The {role} data has no usable row: {features.failures}.")
        X = features.values if features.ok.all() else take_rows(features.values, features.ok)
        return NumpyDataset(X), features.failures
