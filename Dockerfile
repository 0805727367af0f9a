# The service: TorchServe, the CPU build of torch, the archive. No build tools, tests or training data inside.
#   docker build -t srec .                            # takes model_store/srec.mar, or makes the demo's
#   docker run -p 8080:8080 -e SREC_REDIS_URL=redis://... srec

FROM debian:bookworm-slim AS base
ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 PATH=/opt/srec/bin:$PATH
RUN apt-get update \
 && apt-get install --yes --no-install-recommends python3 libgomp1 \
 && rm -rf /var/lib/apt/lists/*

FROM base AS build
# An index of CPU wheels of torch; without it pip takes what its own index has.
ARG TORCH_INDEX=""
RUN apt-get update \
 && apt-get install --yes --no-install-recommends python3-venv ca-certificates \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /build
RUN python3 -m venv /opt/srec
COPY constraints.txt ./
RUN pip install --no-cache-dir --constraint constraints.txt ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} torch
COPY pyproject.toml README.md LICENSE ./
COPY export export
COPY handlers handlers
COPY serve_config serve_config
COPY loadtest loadtest
COPY srec srec
RUN pip install --no-cache-dir --constraint constraints.txt '.[serve]'

FROM build AS archive
RUN pip install --no-cache-dir --constraint constraints.txt '.[serve,train]'
COPY model_store model_store
RUN test -e model_store/srec.mar || { \
      srec demo-data --out demo/reviews \
   && srec prepare --reviews demo/reviews/reviews.csv --games demo/reviews/games.jsonl --tag-width 48 --out demo/data \
   && srec train --data demo/data --preset tiny --out demo/run \
   && srec export --run demo/run --out demo/artifact \
   && srec archive --artifact demo/artifact --out model_store; }

FROM base
COPY --from=build /opt/srec /opt/srec
COPY --from=archive /build/model_store/srec.mar /srv/model_store/srec.mar
RUN useradd --system --no-create-home --uid 10001 srec
USER srec
WORKDIR /tmp
ENV HOME=/tmp SREC_ADDRESS=0.0.0.0 SREC_METRICS_ADDRESS=0.0.0.0
EXPOSE 8080 8082
STOPSIGNAL SIGTERM
# Ready is a prediction that succeeds, not a process that runs.
HEALTHCHECK --interval=10s --timeout=5s --start-period=120s --retries=3 CMD ["python3", "-c", \
  "import urllib.request as u; u.urlopen(u.Request('http://127.0.0.1:8080/predictions/srec', b'[]', {'Content-Type': 'application/json'}), timeout=4)"]
ENTRYPOINT ["srec", "serve", "--mar", "/srv/model_store/srec.mar", "--port", "8080"]
