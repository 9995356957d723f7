"""What lies in the stockroom."""
