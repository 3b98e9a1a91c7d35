"""Architectures. A builder takes (num_classes, in_channels, image_size) and `args`, and marks the network's anatomy."""

from __future__ import annotations

from visiontune.spec.declarations.declare import Table
from visiontune.spec.tables.models_own import OWN_MODELS
from visiontune.spec.tables.models_zoo import LIBRARY_MODELS, ZOO_MODELS

MODELS = Table("model", {**OWN_MODELS, **ZOO_MODELS, **LIBRARY_MODELS})
