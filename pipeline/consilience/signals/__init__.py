"""Signal processing that several sensors share."""
