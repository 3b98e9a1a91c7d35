"""What a trained network sees: its answers on pictures that it was not trained on, and what in a picture they rest on."""
