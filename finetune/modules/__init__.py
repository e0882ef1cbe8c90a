"""Further scores, by modules of the `evaluate` library that a recipe names.

A module is code that is run: a file of the user's, or one of the Hub.
"""
