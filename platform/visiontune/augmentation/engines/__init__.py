"""How ops are applied: picture by picture, on batches of a CPU, on batches of a device; all after the same draws."""
