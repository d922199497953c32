"""Clock models and windows on the session clock."""
