"""Optimizers, parameter groups, and what happens to gradients and weights beside the loss."""
