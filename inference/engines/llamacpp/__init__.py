"""llama.cpp through the low-level bindings of llama-cpp-python: a batch of many sequences per
step."""
