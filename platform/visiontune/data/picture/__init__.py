"""One picture: from encoded bytes to the pixels that a store keeps."""
