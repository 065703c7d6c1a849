# Everything that a person or CI runs. `make help` lists it.

export GOTOOLCHAIN := local

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -s -w -X main.version=$(VERSION)
TOOL    := go tool -modfile=.ci/tools/go.mod
# The small verifier. The first tag lets the linker leave out methods that nothing calls,
# the second leaves out HTTP/2. Inlining is off in what others wrote and in crypto/tls, but
# not in the rest of the standard library and not here: that is 1.1 MB. TestSize holds the
# budget.
VERIFIER_FLAGS := -trimpath -tags=grpcnotrace,nethttpomithttp2 \
  -gcflags=github.com/...=-l -gcflags=golang.org/...=-l -gcflags=google.golang.org/...=-l \
  -gcflags=cel.dev/...=-l -gcflags=go.yaml.in/...=-l -gcflags=k8s.io/...=-l -gcflags=crypto/tls=-l \
  -gcflags=github.com/hallmark-project/...=
# The race detector needs a C compiler; without one the tests still run.
RACE    := $(shell command -v $${CC:-cc} >/dev/null 2>&1 && echo -race)

.PHONY: help build demo test e2e image manifests bench soak lint fmt

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## build bin/hallmark and bin/hallmark-verify
	CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)' -o bin/hallmark ./cmd/hallmark
	CGO_ENABLED=0 go build $(VERIFIER_FLAGS) -ldflags '$(LDFLAGS)' -o bin/hallmark-verify ./cmd/hallmark-verify

demo: build ## build, and show the whole of it on the program itself
	bin/hallmark demo

# Packages that link syft run without the race detector: compiling syft for it takes
# ten minutes on two cores. Their concurrency is that of sign/publish and policy/gate.
HEAVY := ./sbom/... ./cmd/hallmark/...

test: ## all tests that need Go alone
	@[ -n "$(RACE)" ] || echo "no C compiler: the tests run without the race detector"
	go test $(RACE) -timeout 20m $$(go list ./... | grep -v -e '/sbom$$' -e '/cmd/hallmark$$')
	go test -timeout 20m $(HEAVY)

# The tag keeps gpgme, a C library, out of containers/image.
e2e: build ## tests against real counterparts: cosign, syft, containers/image, distribution
	cd e2e && HALLMARK=$(CURDIR)/bin/hallmark HALLMARK_VERIFY=$(CURDIR)/bin/hallmark-verify go test -tags containers_image_openpgp -count=1 -timeout 50m ./...
	cd e2e/helm && HALLMARK_VERIFY=$(CURDIR)/bin/hallmark-verify go test -count=1 -timeout 50m ./...
	cd e2e/kubernetes && HALLMARK=$(CURDIR)/bin/hallmark HALLMARK_VERIFY=$(CURDIR)/bin/hallmark-verify go test -count=1 -timeout 50m ./...

# The programs in the image are those of `make build`, for each platform. With KEY= a key
# file signs; without one a key is made and thrown away.
IMAGE_ARCHITECTURES ?= amd64 arm64
SOURCE_DATE_EPOCH   ?= $(shell git log -1 --format=%ct 2>/dev/null || echo 0)
CA_CERTIFICATES     ?= $(wildcard /etc/ssl/certs/ca-certificates.crt)

image: build ## an image of hallmark-verify with SBOM, signature and provenance, in bin/image
	for architecture in $(IMAGE_ARCHITECTURES); do \
	  CGO_ENABLED=0 GOOS=linux GOARCH=$$architecture go build $(VERIFIER_FLAGS) -ldflags '$(LDFLAGS)' \
	    -o bin/linux-$$architecture/hallmark-verify ./cmd/hallmark-verify || exit 1; done
	go run ./cmd/internal/image -out bin/image -version '$(VERSION)' -created $(SOURCE_DATE_EPOCH) -ca '$(CA_CERTIFICATES)' -key '$(KEY)' \
	  -hallmark bin/hallmark -verifier bin/linux-$$(go env GOHOSTARCH)/hallmark-verify -remote https://github.com/hallmark-project/hallmark \
	  $(foreach a,$(IMAGE_ARCHITECTURES),-program linux/$(a)=bin/linux-$(a)/hallmark-verify)

manifests: ## render deploy/manifests from the chart
	cd e2e/helm && go test -count=1 -run TestManifests -update .

bench: build ## benchmarks, for benchstat
	go test -run '^$$' -bench . -benchmem ./attest/... ./verify/... ./policy/... ./sign/...
	cd e2e && go test -tags containers_image_openpgp -run '^$$' -bench . ./...
	cd e2e/kubernetes && go test -run '^$$' -bench . -benchtime 200x .

soak: build ## ten minutes of load on hallmark-verify serve: answers, memory, files, goroutines
	cd e2e && HALLMARK_VERIFY=$(CURDIR)/bin/hallmark-verify HALLMARK_SOAK=$(or $(SOAK),10m) go test -count=1 -v -run 'TestSoak|TestReplicas' -timeout 60m ./load

lint: ## go mod verify, vet, staticcheck, gofumpt, govulncheck
	go mod verify
	go vet ./...
	$(TOOL) staticcheck ./...
	@unformatted="$$($(TOOL) gofumpt -l $$(git ls-files '*.go'))"; [ -z "$$unformatted" ] || { echo "not gofumpt-clean: $$unformatted"; exit 1; }
	@$(TOOL) govulncheck ./... || { code=$$?; [ $$code -ne 3 ] && echo "govulncheck could not run (no database?): nothing is known of vulnerabilities" || exit $$code; }

fmt: ## format all Go files
	$(TOOL) gofumpt -w $$(git ls-files '*.go')
