"""Engines' own test suites, run at the engine itself and again through the gateway: docs/peers.md.

__main__.py  runs a suite twice
recorder.py  is loaded by the suite's pytest: writes outcomes, leaves out what failed before
outcomes.py  compares them
gateways.py  starts and ends the gateways meanwhile
stand_in.py  takes the place of the engine's program, and asks for a gateway before the real one
hub.py       tiny models under the names that vLLM's tests ask for
"""
