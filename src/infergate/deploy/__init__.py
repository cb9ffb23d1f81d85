"""Files that bring a gateway to a machine: written for a person to read, own and commit.

folder.py      what is to be written, what of it is there already, and how the rest is written
templates.py   the templates of a kind, below templates/
wheel.py       this very Infergate as a package, so that nothing of it is fetched
docker.py      one file for each kind
kinds.py       the kinds by name
"""
