"""The ledger: what the access log says, counted once."""
