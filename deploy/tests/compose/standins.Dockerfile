# Stand-ins for the two images that docker-compose.yml pulls, where no registry can be reached: same
# user, folders and entry point. Prometheus is Debian's, Grafana a script.
# hadolint ignore=DL3006
ARG PYTHON_IMAGE=python:3.13-slim-bookworm

FROM ${PYTHON_IMAGE} AS prometheus
COPY prometheus /bin/prometheus
RUN mkdir -p /etc/prometheus /prometheus && chown 65534:65534 /prometheus
USER 65534
EXPOSE 9090
VOLUME ["/prometheus"]
WORKDIR /prometheus
ENTRYPOINT ["/bin/prometheus"]
CMD ["--config.file=/etc/prometheus/prometheus.yml", "--storage.tsdb.path=/prometheus"]


FROM genesys-event-worker:demo AS grafana
COPY grafana.py /run.py
USER 472:0
EXPOSE 3000
ENTRYPOINT ["python", "/run.py"]
