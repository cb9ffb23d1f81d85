"""What njs decides from: compiled here, kept on disk, pushed into shared memory."""
