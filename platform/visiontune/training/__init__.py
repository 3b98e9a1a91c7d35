"""The one train loop and what it is made of: pictures, losses, penalties, optimizers, lr schedules, evaluation, checkpoints; and checks."""
