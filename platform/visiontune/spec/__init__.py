"""Declarations: what a YAML file may say, and the frozen records that come out. No torch, no ray."""
