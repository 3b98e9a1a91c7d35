"""What a search may spend and has spent: time, epochs, disk."""
