"""``Report``: sections of text, figures and tables as one HTML file that needs nothing else."""

from __future__ import annotations

import os
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from importlib import resources
from itertools import groupby
from pathlib import Path
from typing import Any, Final, Self

from dc_core.errors import ParameterError
from dc_pipeline.errors import PipelineError
from dc_pipeline.reporting.palette import COLOURS, DARK
from dc_pipeline.reporting.svg import figure_svg
from dc_pipeline.reporting.text import markup

_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
"""The content security policy of the page: its own style and images, and no script."""


@dataclass(frozen=True, slots=True)
class Section:
    """A titled part of a report."""

    title: str
    contents: tuple[Any, ...]


class Report:
    """A page of sections, each of paragraphs, figures and tables.

    ``report.add("Study", figure, table, "Eight trials.")`` adds a section. :meth:`save` writes the
    page as one HTML file, without scripts and without anything from elsewhere. It fits a phone,
    paper and a dark screen. Notebooks show the page in a frame. Equal contents give equal bytes.

    ``subtitle`` is a line under the title.
    """

    def __init__(self, title: str, *, subtitle: str = "") -> None:
        self.title = title
        self.subtitle = subtitle
        self.sections: list[Section] = []

    def add(self, title: str, *contents: Any) -> Self:
        """Append a section and return the report itself; without ``contents`` there is none.

        A content is text, which becomes a paragraph; a matplotlib ``Figure``, which is described by
        its label (``figure.set_label``); or anything that notebooks show as HTML (by
        ``_repr_html_``), which has to escape what it shows.

        Raises :class:`ParameterError` for anything else.
        """
        for content in contents:
            shows = isinstance(content, str) or hasattr(content, "_repr_html_")
            if isinstance(content, type) or not (shows or _is_figure(content)):
                raise ParameterError(
                    f"A report cannot show {content!r}.",
                    hint="Add text, a matplotlib Figure, or an object with _repr_html_.",
                )
        if contents:
            self.sections.append(Section(title, contents))
        return self

    def html(self) -> str:
        """Return the page."""
        numbered = list(enumerate(self.sections, 1))
        links = "".join(f'<a href="#s{n}">{markup(s.title)}</a>' for n, s in numbered)
        body = "".join(_section(n, section) for n, section in numbered)
        subtitle = f"<p>{markup(self.subtitle)}</p>" if self.subtitle else ""
        return (
            '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
            f'<meta http-equiv="Content-Security-Policy" content="{escape(_POLICY)}">\n'
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            '<meta name="color-scheme" content="light dark">\n'
            f"<title>{markup(self.title)}</title>\n<style>\n{_style()}</style>\n</head>\n<body>\n"
            f"<header>\n<h1>{markup(self.title)}</h1>\n{subtitle}\n"
            f'<nav aria-label="Sections">{links}</nav>\n</header>\n'
            f"<main>\n{body}</main>\n</body>\n</html>\n"
        )

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the page to ``path``, which appears when it is complete, and return the path.

        Raises :class:`PipelineError` if it cannot be written.
        """
        target = Path(path)
        page = self.html().encode()
        temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
        try:
            with temporary.open("xb") as file:
                file.write(page)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(target)
        except OSError as error:
            raise PipelineError(
                f"The report {target} cannot be written: {error}.",
                hint="Give a path in a directory that exists and has space.",
            ) from error
        finally:
            temporary.unlink(missing_ok=True)
        return target

    def __repr__(self) -> str:
        """Show the title and those of the sections."""
        return f"Report({self.title!r}: {', '.join(s.title for s in self.sections) or 'empty'})"

    def _repr_html_(self) -> str:
        """Show the page in a frame that runs no scripts, in notebooks."""
        return (
            f'<iframe sandbox title="{markup(self.title)}" width="100%" height="800" '
            f'srcdoc="{escape(self.html())}"></iframe>'
        )


def _section(number: int, section: Section) -> str:
    name = f"s{number}"
    parts = []
    figures = 0
    for are_figures, contents in groupby(section.contents, _is_figure):
        if are_figures:
            shown = list(contents)
            parts.append(f'<div class="figures">{"".join(_figures(shown, name, figures))}</div>')
            figures += len(shown)
        else:
            parts += [_block(content) for content in contents]
    blocks = "\n".join(parts)
    return (
        f'<section aria-labelledby="{name}">\n<h2 id="{name}">{markup(section.title)}</h2>\n'
        f"{blocks}\n</section>\n"
    )


def _figures(figures: list[Any], section: str, start: int) -> Iterator[str]:
    for number, figure in enumerate(figures, start + 1):
        name = f"{section}f{number}"
        caption = markup(figure.get_label() or "A figure without a description", 1000)
        yield (
            f'<figure>{figure_svg(figure, name)}<figcaption id="{name}">{caption}</figcaption>'
            "</figure>"
        )


def _block(content: Any) -> str:
    if isinstance(content, str):
        return f"<p>{markup(content, 5000)}</p>"
    return f'<div class="scroll" tabindex="0">{content._repr_html_()}</div>'


def _is_figure(value: Any) -> bool:
    """Whether ``value`` is a figure of matplotlib, which is imported then."""
    module = sys.modules.get("matplotlib.figure")
    return module is not None and isinstance(value, module.Figure)


def _style() -> str:
    """Return the page's style sheet, with the palette as variables."""
    light, dark = (
        "".join(f"--{name}:{value};" for name, value in colours.items())
        for colours in (COLOURS, DARK)
    )
    sheet = resources.files("dc_pipeline.reporting").joinpath("style.css").read_text("utf-8")
    return (
        f":root{{{light}--paper:#ffffff;--shade:#f6f8fa}}\n"
        f"@media screen and (prefers-color-scheme:dark){{:root{{{dark}--paper:#14171c;"
        f"--shade:#1c2128}}}}\n{sheet}"
    )
