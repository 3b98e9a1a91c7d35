"""Augmentation ops and policies, on albumentations; the same for any batch, order and process."""

import os

# Without this, importing albumentations asks a server for its newest version.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
