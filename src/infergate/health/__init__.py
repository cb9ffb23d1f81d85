"""Which backends are up, what runs on them, and which models they have.

engines   how each engine kind is asked: one row per kind
ask       one bounded GET, with the reason in plain words when it fails
resolve   whether a name has an address, without one slow name delaying the rest
probe     is it up, what is it, which models does it have
inventory from an engine's listing to our types
tracker   rise and fall: from single results to up and down
watch     one backend: its probe loop, its discovery loop, what they found out
monitor   all of them, for the configuration as it is now
local     engines on this machine, for a start without a configuration
"""
