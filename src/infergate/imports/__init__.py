"""Configurations of other gateways, read into a draft of ours.

draft.py        what was found, and what is to be told about it
write.py        the draft as YAML with comments
kinds.py        which format a file has
nginx*.py       hand-written nginx files
litellm.py, olla.py, llama_swap.py, compose.py   one file for each other format
values.py       what their YAML has in common
"""
