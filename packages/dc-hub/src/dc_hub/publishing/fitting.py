"""Check that a model is fitted, and all of its parts too, before it is published."""

from __future__ import annotations

from dc_core import Component
from dc_hub.errors import NotFitted


def check_fitted(component: Component) -> None:
    """Raise :class:`NotFitted`, naming the part, unless ``component`` and its parts are fitted.

    What that means is for the component to say (:attr:`dc_core.Component.is_fitted`). One that
    learns nothing, like a fingerprint, is fitted.
    """
    path, part = _unfitted("", component)
    if part is None:
        return
    name = type(part).__name__
    what = f"This {name}" if part is component else f"The part {path} (a {name})"
    raise NotFitted(
        f"{what} is not fitted.",
        path=path or name,
        hint="Call fit() first; or publish it as it is, with unfitted=True.",
    )


def _unfitted(path: str, component: Component) -> tuple[str, Component | None]:
    """Return the innermost part that is not fitted, with its path; None if all are fitted."""
    if component.is_fitted:
        return "", None
    for name, child in component.children().items():
        inner, part = _unfitted(f"{path}/{name}" if path else name, child)
        if part is not None:
            return inner, part
    return path, component
