"""The process: wiring, start and stop, reload, readiness, upkeep of the store."""
