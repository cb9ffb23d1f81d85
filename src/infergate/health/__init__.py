"""Which backends are up, what runs on them, and which models they have.

engines   how each engine kind is asked: one row per kind
ask       one bounded GET, with the reason in plain words when it fails
resolve   whether a name has an address, without one slow name delaying the rest
probe     is it up, what is it, which models does it have
inventory from an engine's listing to our types
metrics   from an engine's metrics to the requests, KV cache and tokens it tells of
work      asks for them after each good probe
tracker   rise and fall: from single results to up and down
vitals    from readings of the work: does it move, is it slow
condition the state that both make
load      what a backend has besides our requests, for the choice of one
watch     one backend: its probe loop, its discovery loop, what they found out
monitor   all of them, for the configuration as it is now
local     engines on this machine, for a start without a configuration
"""
