"""Check that a model's predictions are those stored with it, if versions differ."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Final

import numpy as np

from dc_core import Component
from dc_hub.conversion import with_path
from dc_hub.errors import HubError, PredictionsChanged
from dc_hub.format.filenames import GOLDEN
from dc_hub.format.golden import compare_golden
from dc_hub.loading.opening import Opened
from dc_hub.loading.versions import major_minor, version_changes

MAX_ROWS: Final = 1000
"""Golden rows of larger files are not predicted by loading, whose time has to be bounded."""

logger = logging.getLogger(__name__)


def log_version_changes(opened: Opened) -> None:
    """Log the packages that ``opened`` was stored with other versions of than are installed."""
    if changes := version_changes(opened.record):
        logger.info("%s was stored with %s", opened.source.path, _shown(changes))


def check_predictions(model: Component, opened: Opened) -> None:
    """Check the golden rows of ``opened`` if it was stored with other versions than are installed.

    The versions are logged. More than ``MAX_ROWS`` rows are left to :func:`dc_hub.check_golden`.
    Raises :class:`PredictionsChanged` if the model cannot predict the rows, or not within their
    tolerance.
    """
    changes = version_changes(opened.record)
    if not changes:
        return
    place = str(opened.source.path)
    shown = _shown(changes)
    if GOLDEN not in opened.contents.names:
        logger.info("%s was stored with %s; it has no golden rows to check", place, shown)
        return
    path = f"{place}/{GOLDEN}"
    with with_path(path):
        golden = opened.read_tensors(GOLDEN)
    if _rows(golden) > MAX_ROWS:
        logger.info("%s was stored with %s; dc_hub.check_golden checks its rows", place, shown)
        return
    pins = " ".join(f'"{name}=={_series(old)}.*"' for name, (old, _) in changes.items())
    hint = f"Run: pip install {pins}; or load it with allow_changed_predictions=True."
    try:
        with with_path(path):
            result = compare_golden(model, golden, path)
    except (HubError, MemoryError):
        raise
    except Exception as error:
        raise PredictionsChanged(
            f"The golden rows cannot be predicted: {type(error).__name__}: {error} "
            f"The model was stored with {shown}.",
            path=path,
            hint=hint,
        ) from error
    if not result.passed:
        raise PredictionsChanged(
            f"The predictions for the golden rows changed by up to {result.max_difference:.3g} "
            f"(allowed: {result.atol:g} + {result.rtol:g} · |stored|). The model was stored with "
            f"{shown}.",
            path=path,
            hint=hint,
        )
    logger.info("%s was stored with %s; its golden rows are predicted as stored", place, shown)


def _shown(changes: Mapping[str, tuple[str, str]]) -> str:
    return ", ".join(f"{name} {old} (now {new})" for name, (old, new) in changes.items())


def _rows(golden: Mapping[str, np.ndarray]) -> int:
    inputs = golden.get("inputs", golden.get("inputs.offsets"))
    return inputs.shape[0] if inputs is not None and inputs.ndim else 0


def _series(version: str) -> str:
    return ".".join(map(str, major_minor(version)))
