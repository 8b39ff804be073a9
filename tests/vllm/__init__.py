"""Tests on the real vLLM, on a CPU. `python -m tests vllm` makes the environment and runs them."""
