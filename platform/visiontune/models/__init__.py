"""Networks: the zoo, and how any of them is adapted (activation, initialisation, dropout) and checked."""
