"""Clock models: maps from each recording's own time to the session's time."""
