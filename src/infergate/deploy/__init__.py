"""Files that bring a gateway to a machine: written for a person to read, own and commit.

folder.py      what is to be written, what of it is there already, and how the rest is written
templates.py   the templates of a kind, below templates/
wheel.py       this very Infergate as a package, so that nothing of it is fetched
site_packages.py  what it needs of Python's packages, unpacked for another machine's Python
docker.py, systemd.py, deb.py, lxc.py, ec2.py   one file for each kind
phoenix.py, phoenix_stack.py   lxc: the containers beside it, and what they are to a gateway
serve.py, serve_docker.py, serve_ray.py   the engines that `serve` names: units, containers, Ray
serve_commands.py, serve_keys.py   how each engine is told what it does, and its key
compose.py     the program that runs compose files
kinds.py       the kinds by name
"""
