"""What outlives the processes: keys, teams, policies, usage, who changed what."""
