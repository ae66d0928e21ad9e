"""Not UTF-8: café."""
