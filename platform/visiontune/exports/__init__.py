"""A trained network as files that others read: ONNX, torch.export's .pt2, weights by another library's names; each with a model card."""
