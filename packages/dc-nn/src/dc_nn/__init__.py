"""Neural network layers and architectures that any tensor backend can train.

Nothing is here yet: the layers come once the tensor API of dc-core has landed.
"""
