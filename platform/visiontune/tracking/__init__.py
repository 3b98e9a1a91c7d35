"""MLflow: what a search tells it, kept in a file until it has it. The only place that imports mlflow."""
