"""What outlives the processes: keys and what operators decided."""
