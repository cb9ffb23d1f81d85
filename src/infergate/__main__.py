"""`python -m infergate`."""

from infergate.cli import main

main()
