"""Augmentation ops and policies, on albumentations; the same for any batch, order and process."""
