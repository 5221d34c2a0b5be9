"""Smoke test of the installed wheel: the package imports and says what it is."""

import dc_rl

if not dc_rl.__doc__:
    raise SystemExit("dc_rl has no docstring")
