"""Featurizers of proteins by multiple sequence alignments: those that exist, and new ones."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np

from dc_core import Failure, FailureReport, Features, Featurizer, Ragged, check_count, engines
from dc_core.errors import LoaderError, ParameterError
from dc_pipeline.featurizers.alignments import AMINO_ACIDS, Alignment, profile, read_alignment
from dc_pipeline.featurizers.alphabets import alphabet_of, encode
from dc_pipeline.inputs import as_sequence
from dc_pipeline.metrics import checks

Kind = Literal["log_odds", "frequencies"]

_KINDS: Final = ("log_odds", "frequencies")


class ProfileFeaturizer(Featurizer[Any]):
    """A featurizer whose rows are profiles; a subclass says where the alignments come from.

    Features are a ragged column, ``(letters of the query, 21)`` of float32: a value for each amino
    acid in the order ``ACDEFGHIKLMNPQRSTVWY``, then the fraction of gaps. The values are
    ``"log_odds"``, the position-specific scoring matrix in bits, or ``"frequencies"``; see
    :func:`dc_pipeline.featurizers.alignments.profile`.
    """

    kind: Kind
    pseudocounts: float

    def _set_options(self, kind: Kind, pseudocounts: float) -> None:
        if kind not in _KINDS:
            raise ParameterError(f"{kind=} must be one of {', '.join(_KINDS)}.")
        self.kind = kind
        self.pseudocounts = checks.positive("pseudocounts", pseudocounts)

    @abstractmethod
    def alignment(self, given: Any) -> Alignment:
        """Return the alignment of one input, whose first sequence is the query.

        Raises :class:`ValueError` if the input is wrong, and :class:`LoaderError` if a file is.
        """

    def featurize(self, inputs: Sequence[Any], *, strict: bool = False) -> Features:
        """Return one profile per input, empty where it failed.

        Failures have the status ``parse``, if an input or a file is wrong.

        Raises :class:`FeaturizationError` with the failures if ``strict``, and
        :class:`DatasetError` if the inputs have no order or length.
        """
        inputs = as_sequence(inputs)
        rows = [np.zeros((0, len(AMINO_ACIDS) + 1), np.float32)]
        failures: list[Failure] = []
        for i, given in enumerate(inputs):
            try:
                rows.append(self._row(self.alignment(given)))
            except (ValueError, LoaderError) as error:
                rows.append(rows[0])
                failures.append(Failure(i, str(given), "parse", " ".join(str(error).split())))
            engines.alive()
        report = FailureReport(tuple(failures))
        if strict:
            report.raise_if_any()
        ok = np.ones(len(inputs), bool)
        ok[[failure.row for failure in failures]] = False
        offsets = np.cumsum([*map(len, rows)], dtype=np.int64)
        return Features(Ragged(np.concatenate(rows), offsets), ok, report)

    def _row(self, alignment: Alignment) -> np.ndarray:
        found = profile(alignment.of_query(), pseudocounts=self.pseudocounts)
        return np.column_stack([getattr(found, self.kind), found.gaps]).astype(np.float32)


class AlignmentProfile(ProfileFeaturizer):
    """Profiles of alignments that are there already: inputs are their files, as paths or URLs.

    They are Stockholm, A3M or aligned FASTA; see
    :func:`dc_pipeline.featurizers.alignments.read_alignment`. The first sequence is the query; an
    :class:`Alignment` that was read is an input, too. The features are those of
    :class:`ProfileFeaturizer`.

    Raises :class:`ParameterError` for another ``kind``, and ``pseudocounts`` that are not above 0.
    """

    def __init__(self, kind: Kind = "log_odds", *, pseudocounts: float = 10.0) -> None:
        self._set_options(kind, pseudocounts)

    def alignment(self, given: Any) -> Alignment:
        """Return the alignment in a file."""
        return given if isinstance(given, Alignment) else read_alignment(given)


class JackhmmerProfile(ProfileFeaturizer):
    """Profiles of proteins by a search for their relatives, with the program jackhmmer of HMMER.

    Inputs are sequences. Each is searched for in ``database``, the path of a FASTA file, in up to
    ``iterations`` rounds (Johnson et al. 2010, doi:10.1186/1471-2105-11-431). What is found with an
    E-value of at most ``e_value`` is aligned to it. The features are those of
    :class:`ProfileFeaturizer`.

    A search takes seconds to hours: ``dc_pipeline.featurize(dataset, featurizer, directory,
    engine=...)`` distributes the inputs, and continues after an interruption.

    jackhmmer must be on the PATH; it comes with HMMER 3 (http://hmmer.org, ``apt install hmmer``,
    ``conda install -c bioconda hmmer``).

    Raises :class:`ParameterError` for another ``kind``, and numbers out of range.
    """

    def __init__(
        self,
        database: str,
        *,
        iterations: int = 1,
        e_value: float = 1e-4,
        threads: int = 1,
        kind: Kind = "log_odds",
        pseudocounts: float = 10.0,
    ) -> None:
        self.database = str(database)
        self.iterations = check_count("iterations", iterations, minimum=1, maximum=100)
        self.e_value = checks.positive("e_value", e_value)
        self.threads = check_count("threads", threads, minimum=1, maximum=1024)
        self._set_options(kind, pseudocounts)

    def featurize(self, inputs: Sequence[Any], *, strict: bool = False) -> Features:
        """Return one profile per sequence, empty where it failed.

        Raises :class:`ParameterError` if jackhmmer or the database is not there,
        :class:`FeaturizationError` with the failures if ``strict``, and :class:`DatasetError` if
        the inputs have no order or length.
        """
        if shutil.which("jackhmmer") is None:
            raise ParameterError(
                "jackhmmer is not on the PATH.",
                hint="Install HMMER 3: apt install hmmer, or conda install -c bioconda hmmer.",
            )
        if not Path(self.database).is_file():
            raise ParameterError(
                f"There is no database {self.database}.", hint="Give the path of a FASTA file."
            )
        return super().featurize(inputs, strict=strict)

    def alignment(self, given: Any) -> Alignment:
        """Return the alignment of a sequence with the hits of a search."""
        _, failures = encode([given], alphabet_of("protein"), 1 << 20)
        if failures:
            raise ValueError(failures[0].message)
        with tempfile.TemporaryDirectory(prefix="dc-jackhmmer-") as folder:
            query, out = Path(folder, "query.fasta"), Path(folder, "found.sto")
            query.write_text(f">query\n{given.upper()}\n", encoding="ascii")
            # The paths are absolute, so that none is taken for an option.
            command = ["jackhmmer", "--noali", "-o", str(Path(folder, "log")), "-A", str(out)]
            command += ["-N", str(self.iterations), "-E", str(self.e_value)]
            command += ["--incE", str(self.e_value), "--cpu", str(self.threads)]
            command += [str(query), str(Path(self.database).absolute())]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                reason = " ".join((done.stderr or done.stdout).split())[:300]
                raise ValueError(f"jackhmmer failed with {done.returncode}: {reason}")
            found = read_alignment(out, "stockholm")
        # jackhmmer writes the query first, with gaps where others have insertions.
        if found[0].replace("-", "") != given.upper():
            raise ValueError("jackhmmer did not align what it found to the whole query")
        return found
