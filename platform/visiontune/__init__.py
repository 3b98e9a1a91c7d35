"""visiontune: a YAML search space and pictures in, the best training recipe that the GPUs at hand can find out."""

__version__ = "0.1.0"
