"""The JSON API, `/api/v1/`: what the pages show, for programs; and the two things that may be asked for. See
docs/api.md.

Answers are `{"status": "success", "data": ...}` or `{"status": "error", "errorType": ..., "error": ...}`, as
Prometheus's are. Times are ISO 8601 in UTC; what is not known is null or absent, never 0.
"""
