"""Text and progress, on a terminal, in a notebook, for a program."""
