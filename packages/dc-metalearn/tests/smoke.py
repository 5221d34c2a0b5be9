"""Smoke test of the installed wheel: the package imports and says what it is."""

import dc_metalearn

if not dc_metalearn.__doc__:
    raise SystemExit("dc_metalearn has no docstring")
