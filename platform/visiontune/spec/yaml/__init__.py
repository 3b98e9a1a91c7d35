"""YAML files as trees that know their lines, and back."""
