"""What is found out before the first trial: what is wrong, what it will cost, what workers are given."""
