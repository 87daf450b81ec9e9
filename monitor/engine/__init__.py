"""Who takes which turn, and when."""
