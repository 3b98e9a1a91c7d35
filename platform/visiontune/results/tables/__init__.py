"""What a study holds, as tables and sentences: trials, winners, costs, importance."""
