"""`visiontune report`: a study as one HTML file that needs nothing beside it. `section_table.py` says what is in it."""
