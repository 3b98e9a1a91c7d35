"""Figures that can be hovered: each function gives a plotly figure of a study."""
