"""Modules of the `evaluate` library: those that a recipe names for further scores, and this package's scores as such.

A module that a recipe names is code that is run: a file of the user's, or one of the Hub.
"""
