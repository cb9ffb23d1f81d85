"""`infergate up`: nginx and the Python processes beside it, kept alive and stopped cleanly."""
