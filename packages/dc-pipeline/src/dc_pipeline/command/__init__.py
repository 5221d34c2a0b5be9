"""The program ``dc-pipeline``: the library from the command line.

:mod:`dc_pipeline.command.program` has the commands. What they do is in the library: the other
modules here turn text, which comes from flags and TOML files, into its calls.
"""
