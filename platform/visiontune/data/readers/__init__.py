"""Readers: each kind of source becomes a Source. A module for each entry of spec/tables/sources.py, and what they share."""
