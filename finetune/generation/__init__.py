"""How a model writes: what a recipe says about it, and the loops that decode."""
