"""What can be done to a gateway: from the command line here, or by HTTP from anywhere.

An operation (operation.py) is one function of a Gateway. The command line calls it; the admin API
(app.py, the only part that loads FastAPI) serves it; the command line of another machine asks for
it there (remote.py).
"""
