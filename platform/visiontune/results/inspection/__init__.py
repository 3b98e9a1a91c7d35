"""What the winner of a study sees, as views."""
