# One image for signal pods, leader, migrations, commands and the simulated broker: what runs is the container's command.
# Builds with docker, buildah and skaffold. The base must have `python` 3.11 or newer with venv; other bases:
#   docker build --build-arg PYTHON_IMAGE=registry.example/python:3.12-slim -t ratchet .
ARG PYTHON_IMAGE=docker.io/library/python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
# A process 1 that hands signals on and reaps; static, so that it needs nothing of the final image.
RUN test -x /usr/bin/tini-static \
 || (apt-get update -qq && apt-get install -y -qq --no-install-recommends tini && rm -rf /var/lib/apt/lists/*)
WORKDIR /app
# The dependencies alone, by hash, so that this layer is built again only when the lock changes.
COPY requirements/install.sh requirements/runtime.lock requirements/
RUN sh requirements/install.sh python /opt/ratchet requirements/runtime.lock \
 && /opt/ratchet/bin/python -m pip uninstall --quiet --yes pip setuptools \
 && find /opt/ratchet -depth -name tests -type d -path '*site-packages*' -exec rm -rf {} + \
 # Only the asyncio half of the Kubernetes client is used; the package itself would import the other half, of 57 MB.
 && cd /opt/ratchet/lib/python3*/site-packages/kubernetes && find . -mindepth 1 -maxdepth 1 ! -name aio ! -name __init__.py -exec rm -rf {} + \
 && : > __init__.py \
 && /opt/ratchet/bin/python -m compileall -q /opt/ratchet/lib
COPY ratchet ratchet
COPY service service
COPY leader leader
RUN /opt/ratchet/bin/python -m compileall -q ratchet service leader && rm -rf requirements \
 && /opt/ratchet/bin/python -c 'import ratchet.cli.main, service.command, leader.command, leader.kubernetes_place'

FROM ${PYTHON_IMAGE}
LABEL org.opencontainers.image.title="ratchet" \
      org.opencontainers.image.description="Executes trading signals exactly once" \
      org.opencontainers.image.licenses="Apache-2.0"
# An entry for the user, since some libraries look for its home; the folder is where the simulator keeps its book.
RUN echo 'ratchet:x:10001:10001:ratchet:/var/lib/ratchet:/usr/sbin/nologin' >> /etc/passwd \
 && echo 'ratchet:x:10001:' >> /etc/group \
 && install -d -o 10001 -g 10001 -m 0750 /var/lib/ratchet
COPY --from=build /usr/bin/tini-static /usr/bin/tini-static
COPY --from=build /opt/ratchet /opt/ratchet
COPY --from=build /app /app
ENV PATH=/opt/ratchet/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HOME=/var/lib/ratchet \
    RATCHET_HOME=/var/lib/ratchet
WORKDIR /app
USER 10001:10001
EXPOSE 8080 8081
ENTRYPOINT ["/usr/bin/tini-static", "--"]
CMD ["python", "-m", "service"]
