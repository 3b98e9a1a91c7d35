"""Parts of single benchmarks that would make their scripts long."""
