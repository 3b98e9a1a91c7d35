"""The store: one memory-mapped Arrow file; its layout, its names, its copies on nodes and in object storage."""
