"""What operators do to a gateway that runs: drain, weigh, add and remove backends, and what is
listed of it. The loops that go on without them are in control/."""
