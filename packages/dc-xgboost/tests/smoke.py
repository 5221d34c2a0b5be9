"""Smoke test of the installed wheel: the package imports and says what it is."""

import dc_xgboost

if not dc_xgboost.__doc__:
    raise SystemExit("dc_xgboost has no docstring")
