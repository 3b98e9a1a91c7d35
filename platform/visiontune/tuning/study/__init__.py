"""A study's storage, which is the only state of a search: journal or database, locks, reading and mending."""
