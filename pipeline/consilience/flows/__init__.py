"""Prefect flows: runs of the stages and predictions, as deployments of a server or by hand."""
