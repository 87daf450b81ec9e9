"""How reliable verdicts are: false alarms, delays, coverage, power and cost, beside what is intended."""
