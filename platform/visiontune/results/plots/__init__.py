"""A study in figures that can be hovered: each function gives a plotly figure, `figure_table.py` says what they are called.

Optuna's own plots are not used: they take a trial that was pruned for one with its last value, whatever the epoch, and know no rungs.
"""
