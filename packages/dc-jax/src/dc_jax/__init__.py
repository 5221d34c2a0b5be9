"""The JAX backend.

Nothing is here yet: the package will depend on JAX once it holds code.
"""
