"""Windows to annotate again: strategies of active learning, and labels that are probably wrong."""
