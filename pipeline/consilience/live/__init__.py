"""Predictions of a trained model for streams while they are received."""
