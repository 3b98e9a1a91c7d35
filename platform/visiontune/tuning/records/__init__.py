"""Frozen records that pass between driver, workers and readers: trials, legs and their reports, how a search stands."""
