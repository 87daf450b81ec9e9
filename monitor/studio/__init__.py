"""The source: Edge Impulse Studio's API, from a request to a `ResultSet`."""
