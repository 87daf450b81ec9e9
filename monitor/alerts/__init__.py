"""Alerts: rules, the verdicts they come to, the states they lead to, and what is told about them.

Nothing here waits: who judges when, what is stored and who is told are decided elsewhere.
"""
