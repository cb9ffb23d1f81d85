"""Infergate: one front door for a self-hosted AI stack."""
