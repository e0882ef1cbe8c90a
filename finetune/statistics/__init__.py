"""Intervals, tests and verdicts: pure functions over numbers."""
