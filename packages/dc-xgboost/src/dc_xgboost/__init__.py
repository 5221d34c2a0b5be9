"""The XGBoost backend.

Nothing is here yet: the package will depend on XGBoost once it holds code.
"""
