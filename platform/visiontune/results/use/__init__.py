"""The winner in use: predictions, evaluations, exports."""
