"""Parameter classes of the methods: one light module each, without torch."""
