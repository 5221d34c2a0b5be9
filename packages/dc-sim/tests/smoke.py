"""Smoke test of the installed wheel: the package imports and says what it is."""

import dc_sim

if not dc_sim.__doc__:
    raise SystemExit("dc_sim has no docstring")
