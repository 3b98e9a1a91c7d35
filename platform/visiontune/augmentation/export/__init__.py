"""A policy as files of other programs: albumentations, torchvision."""
