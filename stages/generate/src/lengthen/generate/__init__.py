"""generate: instructions -> responses."""
