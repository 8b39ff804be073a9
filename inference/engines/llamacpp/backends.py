"""The kernels of llama.cpp, where they are libraries of their own: a build for any processor."""

from __future__ import annotations

import os
from functools import cache

from llama_cpp._ggml import libggml, libggml_base_path


@cache
def find() -> int:
    """How many kinds of processors llama.cpp can compute on now. Left alone it would look for their
    libraries beside the program and in the folder that it was started in."""
    if not libggml.ggml_backend_reg_count():
        libggml.ggml_backend_load_all_from_path(os.fsencode(libggml_base_path))
    return int(libggml.ggml_backend_reg_count())
