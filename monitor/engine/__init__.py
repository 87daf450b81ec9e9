"""When each turn is due, what runs it, and which process has which targets."""
