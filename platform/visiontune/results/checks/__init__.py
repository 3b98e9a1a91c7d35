"""What is told of a search before it starts."""
