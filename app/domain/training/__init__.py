"""Training templates: units and plans."""
