"""Texts, their words and the tokens that stand for them: what the tasks over texts share."""
