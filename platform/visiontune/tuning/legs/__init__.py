"""Legs on machines: what a worker does with one, who has which, on which machine. No Ray."""
