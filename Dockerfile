# The images of compose.yaml, one target each: web, worker-cpu, worker-gpu. What a target installs is a
# script in docker/.
#
# None of them has ever been built. What was done instead: a linter reads this file; the tests run
# docker/build-web.sh, configure the sources as docker/build-cpu.sh does, and find versions for all packages of
# docker/build-gpu.sh; llama.cpp's kernels were compiled once with the flags of the CPU image, and the
# starter model answered with those for any x86-64, for AVX2 and for AVX-512. llama.cpp for CUDA was not tried.
ARG PYTHON=python:3.11-slim-bookworm

FROM ${PYTHON} AS base
ENV PATH=/app/.venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    HOME=/data \
    CHATSITE_DATA_DIR=/data \
    UV_LINK_MODE=copy \
    UV_NO_CACHE=1 \
    UV_PYTHON_DOWNLOADS=never
WORKDIR /app
# A volume that is new has the owner of the folder over which it is mounted.
RUN useradd --uid 10001 --home-dir /data --no-create-home --shell /usr/sbin/nologin chatsite \
    && install -d -o chatsite -g chatsite -m 700 /data /data/models

FROM base AS web-env
COPY pyproject.toml ./
COPY docker/build-web.sh docker/
RUN docker/build-web.sh

FROM base AS web
COPY --from=web-env /app/.venv .venv
COPY . .
RUN python -m compileall -q manage.py chatsite inference
USER 10001:10001
EXPOSE 8000
CMD ["python", "manage.py", "web", "--host", "0.0.0.0"]

# Debian's and Ubuntu's packages are those of the release: their versions are not pinned.
FROM base AS cpu-env
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends g++ \
    && rm -rf /var/lib/apt/lists/*
COPY pyproject.toml ./
COPY docker/build-cpu.sh docker/
RUN docker/build-cpu.sh

FROM base AS worker-cpu
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends libgomp1 \
    && rm -rf /var/lib/apt/lists/*
COPY --from=cpu-env /app/.venv .venv
COPY . .
RUN python -m compileall -q manage.py chatsite inference
USER 10001:10001
CMD ["python", "manage.py", "worker"]

# With the compilers: vLLM makes kernels for the card when it first loads a model.
FROM nvidia/cuda:13.0.1-devel-ubuntu24.04 AS worker-gpu
ENV PATH=/app/.venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    HOME=/data \
    CHATSITE_DATA_DIR=/data \
    UV_LINK_MODE=copy \
    UV_NO_CACHE=1 \
    UV_PYTHON_DOWNLOADS=never \
    VLLM_NO_USAGE_STATS=1 \
    HF_HUB_OFFLINE=1
WORKDIR /app
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends g++ libgomp1 python3-dev python3-pip python3-venv \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --home-dir /data --no-create-home --shell /usr/sbin/nologin chatsite \
    && install -d -o chatsite -g chatsite -m 700 /data /data/models
COPY pyproject.toml ./
COPY requirements requirements
COPY docker/build-gpu.sh docker/
RUN docker/build-gpu.sh
COPY . .
RUN python -m compileall -q manage.py chatsite inference
USER 10001:10001
CMD ["python", "manage.py", "worker"]
