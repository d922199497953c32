"""The project's own studies; not part of the installed package."""
