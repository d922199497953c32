"""Accepted models of a project, and the gate that a newly trained one passes first."""
