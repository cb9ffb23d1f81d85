"""Numbers for Prometheus: their names, and how they are written down. Pure: no I/O in here."""
