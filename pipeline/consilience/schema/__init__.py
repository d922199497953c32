"""Schemas of parameters and tables: values and checks, without computation."""
