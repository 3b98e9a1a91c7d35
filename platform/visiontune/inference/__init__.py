"""A trained network in use: on pictures of a store, on a folder of new ones, and what can be said of its answers."""
