"""One run of one target: pull, evaluate, compare, check the rules, record; and what a turn asks once per project."""
