"""Confirmations and ablations, run with a screen."""
