# Two stages: a static binary, then nothing but it, certificates and a user of its own.
FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 go build -trimpath -ldflags='-s -w' -o /mailbearer ./cmd/mailbearer \
 && mkdir -p /data && chmod 700 /data

FROM gcr.io/distroless/static-debian12:nonroot
COPY --from=build /mailbearer /usr/bin/mailbearer
COPY --from=build --chown=nonroot:nonroot /data /var/lib/mailbearer
# What was accepted lives here; without a volume it goes with the container.
VOLUME /var/lib/mailbearer
# Mount the configuration at /etc/mailbearer/mailbearer.toml. In a container the listener has to leave loopback:
# address = "0.0.0.0:2525" with an explicit `allow`.
EXPOSE 2525
# SIGTERM drains for `grace` (10s); docker kills after 10s unless told otherwise: docker run --stop-timeout 30.
STOPSIGNAL SIGTERM
# The spool can be opened and the configuration read; the console's /readyz will replace this.
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s CMD ["/usr/bin/mailbearer", "status"]
ENTRYPOINT ["/usr/bin/mailbearer"]
CMD ["run"]
