"""Changes with proof: what a changed configuration would do, activating it so that it
cannot break what works, and the way back."""
