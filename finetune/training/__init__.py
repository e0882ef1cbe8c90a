"""The loop as a generator of optimizer steps, its optimizer, and checkpoints of exactly what it needs to go on."""
