"""How much the gateway costs on top of raw nginx, measured in one run on one machine."""
