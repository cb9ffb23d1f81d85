"""How a command ends that looked at the gateway and found that it is not well."""

UNWELL = 3
"""The exit code of `status` and `doctor` then: they did what they were asked to (not 1), and the
input was right (not 2)."""
