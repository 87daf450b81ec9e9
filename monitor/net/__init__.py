"""What every part that speaks HTTP or TLS needs: `Retry-After`, certificates."""
