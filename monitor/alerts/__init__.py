"""Alerts as values: rules, verdicts, states, the words of messages, and the Prometheus rule file.

Pure: `monitor.pipeline.alerting` says when a rule is checked and writes what follows, `monitor.notify` sends it.
"""
