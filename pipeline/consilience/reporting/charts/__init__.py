"""Charts of the report: a module per section; each function returns a plotly figure."""
