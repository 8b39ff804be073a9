"""The models on this machine's disk: how they come, what is checked of them, what they need."""
