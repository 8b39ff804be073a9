"""The addresses of Ollama's API, each with what it answers."""
