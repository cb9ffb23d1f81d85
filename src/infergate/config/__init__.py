"""infergate.yaml: from text to one typed, checked value."""
