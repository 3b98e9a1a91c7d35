"""Policies that choose ops for each picture."""
