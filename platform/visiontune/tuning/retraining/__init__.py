"""Recipes trained again: the race for the winner, ablations, what becomes of them, and what MLflow is told."""
