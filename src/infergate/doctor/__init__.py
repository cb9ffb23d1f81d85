"""`infergate doctor`: what is wrong with a gateway and its machine, and the cure.

Each module looks at one thing and yields checks (hardening/check.py). high: requests fail because
of it. medium: they will, or something is lost. low: good to know. It changes nothing, needs no
gateway that runs, and asks nobody but the backends and names of the configuration.
"""
