"""Builders of the table's ops: albumentations transforms of a magnitude."""
