# The sample upstream. Build it from the root of the repository:
#
#   docker build -f envoy/upstream.Dockerfile -t sluicegate-upstream .
FROM rust:1-slim-bookworm AS build
WORKDIR /src
COPY . .
RUN cargo build --release --locked --package sluicegate-tests --bin upstream

FROM debian:bookworm-slim
COPY --from=build /src/target/release/upstream /usr/local/bin/upstream
USER nobody
EXPOSE 8080
ENTRYPOINT ["upstream"]
CMD ["--listen", "0.0.0.0:8080"]
