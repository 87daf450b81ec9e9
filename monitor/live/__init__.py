"""What is known right now: one object per target, the watch list, the turns, the clock of the alerts."""
