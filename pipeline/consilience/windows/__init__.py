"""Window layout, cutting and the window store."""
