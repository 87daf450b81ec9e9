"""One turn of a project: pull, evaluate, compare, judge, record."""
