"""The TensorFlow and Keras backend.

Nothing is here yet: the package will depend on TensorFlow once it holds code.
"""
