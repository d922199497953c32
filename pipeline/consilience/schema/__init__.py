"""Parameters and tables: values and checks, no computation."""
