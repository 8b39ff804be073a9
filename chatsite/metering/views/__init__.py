"""The pages: what somebody used themselves, and the admin's view and limits."""
