"""What a search, an ingest or a check found, for a person or a program: screens, tables, reports, records for Python."""
