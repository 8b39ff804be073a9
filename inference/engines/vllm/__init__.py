"""vLLM behind the protocol of all engines: read engine.py first."""
