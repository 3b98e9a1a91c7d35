"""Ray: machines, their checks, workers, jobs. The only room that imports it."""
