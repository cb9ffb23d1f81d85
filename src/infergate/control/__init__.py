"""The control plane: a process of its own, never on a request's path."""
