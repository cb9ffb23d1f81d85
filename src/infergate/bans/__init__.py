"""Who offends too often: read from the access log, judged without I/O."""
