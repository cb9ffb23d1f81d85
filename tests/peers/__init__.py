"""Engines' own test suites, run at the engine itself and again through the gateway: docs/peers.md.

__main__.py  runs a suite twice and compares
gateways.py  starts and ends the gateways meanwhile
stand_in.py  takes the place of the engine's program, and asks for a gateway before the real one
"""
