"""What every benchmark shares: the machine it ran on, its arguments, and how its figures are shown and kept."""
