"""From a source to a store: plan, decode in chunks, find repeats, write."""
