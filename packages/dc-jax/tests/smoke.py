"""Smoke test of the installed wheel: the package imports and says what it is."""

import dc_jax

if not dc_jax.__doc__:
    raise SystemExit("dc_jax has no docstring")
