# Everything needs Go 1.26; the lab, the demo and most tests need root on Linux.
SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -c
export CGO_ENABLED := 0

# The agreement tests print how many comparisons with a real kernel they made.
AGREE := $$(go list ./lab/agree/... | grep -v /agree/real)
# What is not to be disturbed by others' storms of events, of which there is one kernel for all.
ALONE := ./lab/observe ./lab/soak
# The tests on the real cluster. "auto": where this machine can have one; else they say what it lacks.
REAL  := ./lab/cluster ./lab/agree/real
SHOW  := grep -E --line-buffered '^(agree:|faults:|ok|FAIL|panic)|^ *--- (FAIL|SKIP)|_test\.go:[0-9]+:'
FUZZ  ?= 10m

.PHONY: cluster cluster-down faults-cluster image
.PHONY: build deps demo observe soak test check lint agree faults kernels bench fuzz generate clean

# What the image is, is that of the sources alone: nothing of the time, the folder or the machine gets into it.
VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
REVISION ?= $(shell git rev-parse HEAD 2>/dev/null || echo unknown)
RELEASE  := -trimpath -buildvcs=false -ldflags '-s -w -X main.version=$(VERSION)'
IMAGE    ?= bin/plumbd-image.tar

build:
	go build -ldflags '-X main.version=$(VERSION)' -o bin/ ./cmd/...

deps:
	@sh lab/deps.sh

# The packages are installed while the compiler runs: one waits for disks, the other for cores.
demo:
	@echo "building plumb (the first time this takes about a minute)" >&2
	@$(MAKE) -s -j2 deps build
	@./bin/plumb-lab demo --plumb ./bin/plumb $(INCIDENT)

# Agents and a real Prometheus in the lab: which panels and alerts tell of which fault.
observe:
	@sh lab/deps.sh observe
	@$(MAKE) -s build
	@./bin/plumb-lab observe $(FAULTS)

# What plumbd has to withstand, for 20 minutes. SOAK=--doc writes doc/soak.md, SOAK=churn is one part.
soak: build
	@./bin/plumb-lab soak $(SOAK)

# plumbd for nodes of either architecture, with the programs that it calls, as an OCI image without Docker.
image: export SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct 2>/dev/null || echo 0)
image:
	@for a in amd64 arm64; do GOOS=linux GOARCH=$$a go build $(RELEASE) -o bin/linux-$$a/plumbd ./cmd/plumbd || exit 1; done
	@go build -o bin/ ./cmd/plumb-lab
	@./bin/plumb-lab image -o $(IMAGE) --version $(VERSION) --revision $(REVISION) \
		--plumbd bin/linux-amd64/plumbd --plumbd bin/linux-arm64/plumbd
	@sha256sum $(IMAGE)

# A real Kubernetes of three nodes with plumbd on them; CLUSTER is for "plumb-lab cluster up".
cluster: build
	@sh lab/deps.sh cluster
	@./bin/plumb-lab image -o bin/plumbd.tar --version $(VERSION)
	@./bin/plumb-lab cluster up --image bin/plumbd.tar --apply deploy/plumb.yaml $(CLUSTER)

cluster-down: build
	@./bin/plumb-lab cluster down

# Tests of the kernel wait more than they compute: more of them at once than there are cores.
test: bin/helm lint
	@sh lab/deps.sh test
	go test -p 4 -timeout 30m $$(go list ./... | grep -v -e /lab/agree -e /lab/observe -e /lab/soak)
	go test -p 4 -count=1 -v $(AGREE) | $(SHOW)
	go test -p 1 -count=1 -v $(ALONE) | $(SHOW)
	cd oracle && go vet ./... && go test -count=1 -v . | $(SHOW)
	cd oracle/netpol && go vet ./...
	cd oracle/proxy && go vet ./... && go test -count=1 -v . | $(SHOW)
	cd oracle/grafana && go vet ./... && go test -count=1 -v . | $(SHOW)
	cd oracle/coredns && go vet ./... && go test -count=1 -v . | $(SHOW)
	PLUMB_CLUSTER=auto go test -count=1 -timeout 60m -p 1 -v $(REAL) | $(SHOW)

# Helm itself, to try the chart with. It is no part of plumb's module.
bin/helm:
	@GOBIN=$(CURDIR)/bin go install -trimpath -ldflags '-s -w' helm.sh/helm/v3/cmd/helm@v3.22.0 || \
		echo "Helm cannot be had: the chart is tested without it" >&2

lint:
	@test -z "$$(gofmt -l . | tee /dev/stderr)" || { echo "gofmt: the files above are not formatted" >&2; exit 1; }
	go vet ./...
	go tool staticcheck ./...

agree: deps
	PLUMB_AGREE=full go test -count=1 -timeout 12h -v $(AGREE) | $(SHOW)

faults: deps
	@go test -count=1 -v -run TestFaults ./lab/agree/faults | $(SHOW)

# Every fault of a real cluster, and all that plumb says of it by its agents.
faults-cluster:
	@sh lab/deps.sh cluster
	@PLUMB_CLUSTER=1 PLUMB_FAULTS=all PLUMB_AGREE=full go test -count=1 -timeout 90m -v ./lab/agree/real | $(SHOW)

# The probes' tests on Debian's kernels, in emulation. KERNELS=--doc writes doc/kernels.md.
kernels:
	@sh lab/deps.sh kernels
	@sh lab/kernels/kernels.sh $(KERNELS)

bench: deps
	@uname -srm; grep -m1 'model name' /proc/cpuinfo; echo "$$(nproc) cores, load $$(cut -d' ' -f1 /proc/loadavg); $$(go version)"
	@go test -p 1 -run '^$$' -bench . -benchmem ./fib ./netfilter ./trace ./collect/node ./check/all ./intent ./lab/bench | awk -f lab/bench/lines.awk
	@cd oracle && go test -timeout 30m -run '^$$' -bench . | awk -f ../lab/bench/lines.awk

# Every fuzz target for FUZZ each; findings land in testdata/fuzz and become tests. Go would otherwise spend
# up to a minute on making each new input small, in which nothing new is tried.
fuzz:
	@for p in $$(go list ./...); do \
		for f in $$(go test -list '^Fuzz' $$p | grep ^Fuzz); do \
			echo "== $$p $$f"; go test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZ) -fuzzminimizetime 5x $$p || exit 1; \
		done; \
	done

generate:
	@sh lab/deps.sh generate
	UPDATE=1 go test -count=1 -run TestGenerated . ./agent/observe ./deploy/dashboards

clean:
	rm -rf bin demo
