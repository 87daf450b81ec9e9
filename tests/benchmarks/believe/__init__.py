"""How far verdicts can be believed: false alarms, delays, coverage, power and cost, beside what is intended."""
