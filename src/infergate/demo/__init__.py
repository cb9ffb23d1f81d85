"""The tiny OpenAI-compatible backend that the quick start uses when it finds no engine.

Start it with `python -m infergate.demo --port N`. It has one model, `demo`, which is no model: it
says so and repeats what it was told. Importing this package loads no web framework.
"""
