"""Smoke test of the installed wheel: the package imports and says what it is."""

import dc_nn

if not dc_nn.__doc__:
    raise SystemExit("dc_nn has no docstring")
