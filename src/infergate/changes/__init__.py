"""Changes with proof: what a changed configuration would do, bringing it into force so that it
cannot break what works, and the way back."""
