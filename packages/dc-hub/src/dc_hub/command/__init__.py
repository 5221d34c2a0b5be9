"""The program ``dc-hub``: the library from the command line.

:mod:`dc_hub.command.program` names the commands and their order. Each is a function of a module
that says what kind it is: it prints what the library returns, and does nothing more.
"""
