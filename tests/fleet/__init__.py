"""Several processes that share their turns through PostgreSQL."""
