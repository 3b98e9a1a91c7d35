"""Readers: each kind of source becomes a Source. One module for each entry of spec/tables/sources.py."""
