"""Predictions of a trained model for recordings without labels."""
