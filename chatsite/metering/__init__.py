"""What is used and what may be: usage by day, quotas, and requests that are answered once."""
