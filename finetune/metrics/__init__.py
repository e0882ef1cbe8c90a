"""Scores as pure functions over plain Python and NumPy values."""
