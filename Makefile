SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# How often make seed-tests runs the storm tests.
COUNT ?= 30

# For how long make soak runs.
SOAK ?= 10m

# Where make func-run serves and make func-invoke sends to, and the servers behind it: make testbed starts some.
FUNC_ADDRESS ?= 127.0.0.1:8080
STORMFOLD_REDIS_URL ?= redis://127.0.0.1:6379/0
# The policies file; empty for the built-in policies. func.yaml has the path of the file in a pod.
STORMFOLD_POLICIES ?=

# What make generate writes.
GENERATED := api/v1alpha1/zz_generated.deepcopy.go deploy/crd deploy/policies docs/configuration.md docs/source.md docs/metrics.md \
	deploy/observability

.PHONY: help
help: ## List the targets.
	@sed -nE 's/^([a-z0-9-]+):.*## (.*)/\1\t\2/p' $(MAKEFILE_LIST) | while IFS=$$'\t' read -r name text; do printf '%-12s %s\n' "$$name" "$$text"; done

##@ Try it

.PHONY: run
run: ## Run the function on embedded servers and show its incidents.
	@go build -o bin/dev ./cmd/dev && exec bin/dev run # go run would call Ctrl-C an error.

.PHONY: storm
storm: ## Send 15 alerts to make run at once. Run it again to resolve them.
	@go run ./cmd/dev storm

.PHONY: outage
outage: ## Send make run the alerts of a node that goes down. Run it again to resolve them.
	@go run ./cmd/dev outage

.PHONY: testbed
testbed: ## Run a real API server, with the CRD and RBAC of deploy/, and Redis until Ctrl-C; print the variables to export.
	go run ./test/testbed/up

# The func program of the testbed, built when it is not there yet.
func = $$(go run ./test/testbed/up -build func)

.PHONY: func-run
func-run: ## Run the function with the func CLI on STORMFOLD_REDIS_URL and KUBECONFIG.
	func="$(func)"; "$$func" run --builder=host --address '$(FUNC_ADDRESS)' --env 'STORMFOLD_REDIS_URL=$(STORMFOLD_REDIS_URL)' \
		--env 'STORMFOLD_POLICIES=$(STORMFOLD_POLICIES)'

.PHONY: func-invoke
func-invoke: ## Send an alert to make func-run.
	func="$(func)"; "$$func" invoke --target 'http://$(FUNC_ADDRESS)' --format cloudevent \
		--type io.prometheus.alertmanager.alert.v1 --source /make/func-invoke --content-type application/json \
		--data "{\"status\":\"firing\",\"labels\":{\"alertname\":\"FuncInvoke\",\"namespace\":\"shop\",\"pod\":\"cart-0\",\"severity\":\"warning\"},\"annotations\":{\"summary\":\"sent by make func-invoke\"},\"startsAt\":\"$$(date -u +%Y-%m-%dT%H:%M:%SZ)\"}"

##@ Test it

# The servers are built first, so that it does not count against the timeout of a test.
test e2e seed-tests bench bench-check faults: servers

.PHONY: servers
servers: ## Build and install the servers that the tests need; about ten minutes, once.
	go run ./test/testbed/up -build >/dev/null

.PHONY: test
test: ## Run all tests, with the race detector and real servers.
	go test -race -timeout 20m ./...

.PHONY: e2e
e2e: ## Run the end-to-end tests: Alertmanagers, source, Knative's Broker, function, Redis, incidents.
	go test -race -count=1 -timeout 20m ./test/e2e

.PHONY: seed-tests
seed-tests: ## Run the storm tests COUNT times.
	go test -race -count=$(COUNT) -run TestStorm ./test/integration

.PHONY: soak
soak: ## Run random programs against a model of a group for the time SOAK.
	STORMFOLD_TESTBED_SOAK=$(SOAK) go test -race -count=1 -timeout 24h -run '^TestModel$$' -v ./aggregator

.PHONY: bench
bench: ## Measure performance and write the table of docs/performance.md.
	go run ./test/bench -document docs/performance.md

.PHONY: bench-check
bench-check: ## Measure the cheap rows of that table briefly; fail if one is far off.
	go run ./test/bench -check -json bin/bench-check.json

.PHONY: faults
faults: ## Inject every fault and write the table of docs/reliability.md.
	STORMFOLD_TESTBED_FAULTS=all STORMFOLD_TESTBED_FAULTS_TABLE=$(CURDIR)/docs/reliability.md go test -count=1 -timeout 40m -v -skip "^TestTheDocument" ./test/faults

# The round to run on the node (trial, release, func, production or hops), how many times, and a pattern for the names of
# its steps, all of them when it is empty. A part of a round writes no table.
ROUND ?= trial
ROUNDS ?= 1
STEPS ?=

.PHONY: node
node: ## Test the shipped manifests and images on a node with Knative, and write the tables of docs. Linux, root.
	go run ./test/node -round '$(ROUND)' -rounds '$(ROUNDS)' -steps '$(STEPS)' \
		-document $(if $(filter hops,$(ROUND)),docs/autoscaling.md,docs/reliability.md)

# A directory of further recordings, and a file for the rows as JSON.
DIR ?=
JSON ?=

# If not empty, pods and nodes are looked up in each recording's topology.
LOOKUPS ?=

.PHONY: outages
outages: ## Replay recorded outages under the built-in policies and compare the incidents with the truth.
	go run ./test/outages -dir '$(DIR)' -json '$(JSON)' $(if $(LOOKUPS),-lookups)

.PHONY: verify
verify: ## Check generated files, formatting, imports, documented tables and go.mod; vet and staticcheck.
	hack/verify.sh $(GENERATED)

##@ Make it

.PHONY: generate
generate: ## Write generated files: deepcopy, CRD, tables in docs, deploy/policies, dashboard and alert rules.
	go tool controller-gen object paths=./api/...
	go tool controller-gen crd paths=./api/... output:crd:dir=deploy/crd
	go test ./config ./internal/source ./function ./cmd/dead-letters -run TestDocumentationHoldsTheTables -update
	cp config/policies.yaml deploy/policies/policies.yaml
	go run ./cmd/observability

# The version of a release, which is the tag of the images in deploy/, and the repository of the images.
VERSION ?= v0.1.0
IMAGE_TAG ?= $(VERSION)
REPOSITORY ?= dev.local
IMAGE_PLATFORMS ?= linux/amd64,linux/arm64
CLI_PLATFORMS ?= linux/amd64,linux/arm64,darwin/amd64,darwin/arm64,windows/amd64

.PHONY: image
image: ## Build the container images as OCI layouts in bin/image, without a registry or a daemon.
	go run ./cmd/image -out bin/image -tag '$(IMAGE_TAG)' -repository '$(REPOSITORY)' -platforms '$(IMAGE_PLATFORMS)' \
		./cmd/stormfold ./cmd/alertmanager-source ./cmd/dead-letters

.PHONY: chart
chart: ## Write the Helm chart to bin.
	go run ./cmd/release -only chart -out bin -version '$(VERSION)' -repository '$(REPOSITORY)'

.PHONY: release
release: image ## Write all files of a release to bin/release: images, manifests, chart, command line, SBOM, checksums.
	rm -rf bin/release
	go run ./cmd/release -version '$(VERSION)' -repository '$(REPOSITORY)' -platforms '$(CLI_PLATFORMS)' -out bin/release
	ls -l bin/release

.PHONY: clean
clean: ## Remove built files.
	rm -rf .func bin
