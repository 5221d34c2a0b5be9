"""A backend that loads its framework as soon as anyone looks at it."""

import tiny  # noqa: F401
