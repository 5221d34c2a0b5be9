"""The subjects, one module each; ``SUBJECTS`` holds its tables."""
