"""What is known right now of all that is watched."""
