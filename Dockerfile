# podium's images: an environment from hash-checked requirements, then a slim runtime without pip and build tools.
# With requirements-otel.txt, it can send spans. `--target prober` is the image of `podium probe`, which has an ffmpeg.
ARG PYTHON_VERSION=3.11
ARG REQUIREMENTS=requirements.txt

FROM python:${PYTHON_VERSION}-slim-bookworm AS build

ARG REQUIREMENTS

ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_ROOT_USER_ACTION=ignore

WORKDIR /src

COPY ${REQUIREMENTS} ./requirements.txt
RUN python -m venv --without-pip /opt/podium \
    && pip --python /opt/podium/bin/python install --no-cache-dir --require-hashes -r requirements.txt

COPY . ./
RUN pip --python /opt/podium/bin/python install --no-cache-dir --no-deps --no-build-isolation . \
    && pip --python /opt/podium/bin/python uninstall --yes \
        editables hatchling pathspec pluggy tomlkit trove-classifiers \
    && /opt/podium/bin/podium --version \
    && /opt/podium/bin/podium schema > /dev/null


FROM python:${PYTHON_VERSION}-slim-bookworm AS runtime

# The user has a name, because initdb wants one.
RUN pip uninstall --yes --root-user-action=ignore pip setuptools wheel \
    && groupadd --gid 10001 podium \
    && useradd --no-log-init --uid 10001 --gid 10001 --no-create-home --shell /usr/sbin/nologin podium \
    && install --directory --owner=10001 --group=10001 --mode=0700 /var/lib/podium

# At the same path as in the build: the programs of an environment name their interpreter.
COPY --from=build /opt/podium /opt/podium

ENV PATH=/opt/podium/bin:$PATH \
    HOST=0.0.0.0 \
    PODIUM_DATA_DIR=/var/lib/podium

USER 10001:10001
WORKDIR /var/lib/podium
VOLUME /var/lib/podium

ENTRYPOINT ["podium"]


FROM runtime AS prober

ENV METRICS_PORT=9090

USER root
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ffmpeg \
    && rm -rf /var/lib/apt/lists/*
USER 10001:10001
EXPOSE 9090

# Through no proxy, whatever the environment names.
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s \
    CMD ["python", "-c", "import os, urllib.request as u; u.build_opener(u.ProxyHandler({})).open('http://127.0.0.1:' + os.environ['METRICS_PORT'] + '/livez', timeout=2)"]

CMD ["probe", "--config", "/etc/podium/streams.yaml"]


# The last one is what is built unless another target is named.
FROM runtime AS gateway

ENV PORT=8080
EXPOSE 8080

HEALTHCHECK --interval=10s --timeout=3s --start-period=30s \
    CMD ["python", "-c", "import os, urllib.request as u; u.build_opener(u.ProxyHandler({})).open('http://127.0.0.1:' + os.environ['PORT'] + '/livez', timeout=2)"]

CMD ["serve"]
