"""What a search found, for a person or a program: screen, leaderboard, report. Starts nothing."""
