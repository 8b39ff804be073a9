"""The same models in Ollama's dialect, `/api`. It stands on the API's room, and adds only words."""
