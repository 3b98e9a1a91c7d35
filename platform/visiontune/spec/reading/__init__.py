"""A file against its declaration: values, domains, tables, sections, and the rules that tie them. All problems at once."""
