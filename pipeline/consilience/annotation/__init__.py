"""Label consensus: soft labels of windows from the ratings and votes of annotators."""
