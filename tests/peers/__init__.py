"""Engines' own test suites, run at the engine itself and again through the gateway: docs/peers.md.

__main__.py  runs a suite twice and compares
stand_in.py  takes the place of the engine's program, and puts a gateway before the real one
"""
