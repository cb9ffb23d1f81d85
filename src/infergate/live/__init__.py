"""The nginx that runs: its shared memory, its revisions, and how another one is activated."""
