"""The routing benchmark: simulated engines, traffic, routers, and what users waited for."""
