"""The pages people open: all targets at a glance, and why one target's figures are what they are."""
