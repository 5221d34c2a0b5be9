"""What is measured, one module a subject; each has its tables in ``SUBJECTS``."""
