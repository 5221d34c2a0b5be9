"""The on-disk format: the record, its values, the weights files and the manifest."""
