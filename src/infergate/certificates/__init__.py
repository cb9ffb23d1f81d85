"""The gateway's certificates: which host has which, where from, when they are renewed."""
