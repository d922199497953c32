"""Networks that map the model inputs of windows to encodings."""
