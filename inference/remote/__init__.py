"""Servers elsewhere that speak OpenAI's API: where they may be, what is sent, what comes back."""
