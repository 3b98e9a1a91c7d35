"""Pictures: sources, splits, and the memory-mapped Arrow store that all trials of a node share. No torch."""
