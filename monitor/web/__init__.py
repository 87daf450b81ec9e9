"""HTTP: routes, pages, JSON API, TLS and passwords, and what connections may hold."""
