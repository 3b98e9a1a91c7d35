"""MLflow: events of a search, kept in a file until MLflow has them. The only floor that imports mlflow."""
