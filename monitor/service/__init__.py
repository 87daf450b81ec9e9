"""The process: start, stop, reload; readiness; upkeep of the store."""
