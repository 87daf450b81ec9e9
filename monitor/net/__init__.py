"""What the clients and the server have in common: `Retry-After`, certificates."""
