"""The networks of spec/tables/models.py, a module for each family."""
