"""Tests on the real vLLM, on a CPU: `python -m tests vllm` makes their environment and runs them."""
