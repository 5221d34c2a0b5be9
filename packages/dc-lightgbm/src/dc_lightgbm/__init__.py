"""The LightGBM backend.

Nothing is here yet: the package will depend on LightGBM once it holds code.
"""
