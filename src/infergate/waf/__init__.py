"""What the firewall found: ModSecurity's reports without the values in them, and their sums."""
