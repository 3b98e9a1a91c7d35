"""What declarations are made of: arguments, domains, conditions; and single values with a meaning of their own."""
