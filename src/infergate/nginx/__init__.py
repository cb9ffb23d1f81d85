"""From the configuration to a running nginx: engine, rendering, applying."""
