"""The checks of `visiontune check --run`: what to find out before a search."""
