"""Make matplotlib figures that look alike whatever the user's settings, without pyplot."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar

from dc_core.errors import ParameterError
from dc_pipeline.reporting.palette import COLOURS, SERIES
from dc_pipeline.reporting.text import on_one_line

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

P = ParamSpec("P")
R = TypeVar("R")

SIZE: Final = (4.0, 3.5)
"""Width and height of a figure in inches, so that figures stand side by side on a page."""

RASTERIZED: Final = 2000
"""From how many points on a scatter plot is an image, which keeps the file small."""

_STYLE: Final[dict[str, Any]] = {
    "axes.edgecolor": COLOURS["muted"],
    "axes.formatter.use_mathtext": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.labelcolor": COLOURS["ink"],
    "axes.labelsize": 9.5,
    "axes.linewidth": 0.8,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlecolor": COLOURS["ink"],
    "axes.titlelocation": "left",
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "figure.constrained_layout.use": True,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "font.family": ["sans-serif"],
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9,
    "grid.color": COLOURS["line"],
    "grid.linewidth": 0.6,
    "legend.fontsize": 8.5,
    "legend.frameon": False,
    "legend.labelcolor": COLOURS["ink"],
    "savefig.dpi": 200,
    "savefig.facecolor": "none",
    "svg.fonttype": "none",
    "svg.hashsalt": "dc-pipeline",
    "text.color": COLOURS["ink"],
    "text.parse_math": False,
    "xtick.color": COLOURS["muted"],
    "ytick.color": COLOURS["muted"],
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
}


@contextmanager
def style() -> Iterator[None]:
    """Draw with this module's settings instead of the user's.

    Text is never read as mathematics: a task may be named ``IC50 ($)``.

    Raises :class:`ParameterError` if matplotlib is not installed.
    """
    library = _matplotlib()
    cycle = library.rcsetup.cycler(color=list(SERIES))
    with library.style.context(["default", {**_STYLE, "axes.prop_cycle": cycle}]):
        yield


def styled(draw: Callable[P, R]) -> Callable[P, R]:
    """Run ``draw`` within :func:`style`."""

    @wraps(draw)
    def within(*args: P.args, **kwargs: P.kwargs) -> R:
        with style():
            return draw(*args, **kwargs)

    return within


def new_figure(title: object, x: object, y: object) -> tuple[Figure, Axes]:
    """Return a figure with one pair of axes, its title and labels set."""
    figure: Figure = _matplotlib().figure.Figure(figsize=SIZE)
    axes = figure.add_subplot()
    axes.set_title(on_one_line(title, 60))
    axes.set_xlabel(on_one_line(x, 60))
    axes.set_ylabel(on_one_line(y, 60))
    return figure, axes


def save_svg(figure: Figure, target: Any) -> None:
    """Write ``figure`` as SVG with text as text; equal figures give equal files."""
    with style(), warnings.catch_warnings():
        # The reader's own fonts show the text, and have what DejaVu Sans lacks.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(target, format="svg", metadata=nothing)


def with_units(name: object, units: str) -> str:
    """Return the label of an axis: the name, and the units in brackets if there are any."""
    return f"{on_one_line(name, 50)} ({on_one_line(units, 20)})" if units else on_one_line(name, 60)


def titled(kind: str, task: str) -> str:
    """Return the title of a figure, with its task."""
    return f"{kind}: {on_one_line(task, 40)}" if task else kind


def _matplotlib() -> Any:
    try:
        import matplotlib.figure
        import matplotlib.rcsetup
        import matplotlib.style
    except ModuleNotFoundError as error:
        raise ParameterError(
            "Figures need matplotlib.", hint='Run: pip install "dc-pipeline[plots]"'
        ) from error
    return matplotlib
