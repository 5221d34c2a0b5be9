"""Smoke test of the installed wheel: the package imports and says what it is."""

import dc_tensorflow

if not dc_tensorflow.__doc__:
    raise SystemExit("dc_tensorflow has no docstring")
