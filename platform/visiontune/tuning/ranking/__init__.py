"""Trials compared: by value at a rung, by cost, by several objectives; trial schedulers. Pure rules: no Ray, no storage."""
