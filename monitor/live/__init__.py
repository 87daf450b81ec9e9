"""What is known right now of all that is watched, and the turns that keep it so."""
