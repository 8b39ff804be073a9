"""People: accounts, sign-up policy, sessions. Never conversations."""
