"""JSON Schema of a search-space file, made from the declarations that the parser reads by."""
