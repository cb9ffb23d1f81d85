"""Other dialects than a backend speaks, as translations of data: no request is sent from here.

`table.translation` finds the one for a request; docs/dialects.md is written from the table.
"""
