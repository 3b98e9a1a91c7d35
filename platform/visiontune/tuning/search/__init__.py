"""A search from its first leg to its last, over the study's storage. No Ray, no torch."""
