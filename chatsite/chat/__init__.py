"""Conversations and messages: the pages, the WebSocket and what is said on it."""
