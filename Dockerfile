# syntax=docker/dockerfile:1
# An image of one of the programs in cmd/, for those who build with docker or podman:
#
#   docker buildx build --platform linux/amd64,linux/arm64 --build-arg PROGRAM=stormfold --build-arg VERSION=v0.1.0 \
#     --tag REGISTRY/stormfold:v0.1.0 --push .
#
# The other programs are alertmanager-source and dead-letters. make image builds the same without a daemon.
FROM --platform=$BUILDPLATFORM golang:1.26.0-bookworm AS build
ARG PROGRAM=stormfold VERSION= TARGETOS TARGETARCH
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
# With .git, from which go build stamps version and commit.
COPY . .
RUN CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH go build -trimpath -buildvcs=auto \
	-ldflags="-s -w -X github.com/stormfold/stormfold/internal/version.release=$VERSION" \
	-o /out/program ./cmd/$PROGRAM

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/program /program
USER 65532:65532
ENTRYPOINT ["/program"]
