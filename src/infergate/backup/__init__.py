"""A gateway in one file: taken while it serves, and brought back here or on another machine.

contents.py   what belongs to a gateway, and how each thing is called in the file
manifest.py   the first thing in the file: what is in it, and where it was
archive.py    the file: a tar of regular files, compressed; what is anything else is refused
seal.py       its encryption
take.py       making one
staged.py     reading one: everything is checked before anything is touched
plan.py       what bringing it back would do
swap.py       doing it so that a crash leaves no half
restore.py    the two together
migrate.py    the same over ssh
"""
