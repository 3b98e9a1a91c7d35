"""Literal tables: everything that a file can name. Adding a model, op, optimizer or source is one entry here."""
