"""Smoke test of the installed wheel: the package imports and says what it is."""

import dc_lightgbm

if not dc_lightgbm.__doc__:
    raise SystemExit("dc_lightgbm has no docstring")
