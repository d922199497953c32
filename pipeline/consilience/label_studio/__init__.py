"""Tasks for the annotation tool Label Studio, and the answers that it exports."""
