"""The one train loop and what it is made of: pictures, penalties, optimizers, lr schedules, evaluation, checkpoints."""
