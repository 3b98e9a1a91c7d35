"""Annotated objects: COCO, Pascal VOC, LabelMe."""
