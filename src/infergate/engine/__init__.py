"""Which nginx the gateway runs on: the embedded one, Debian's, or another that is named."""
