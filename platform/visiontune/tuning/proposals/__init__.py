"""Where trials come from: known recipes, earlier studies, Optuna's samplers and what they learn from."""
