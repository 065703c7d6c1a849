// Program is what the tests of package sbom scan: a Go binary with modules.
package main

import (
	"fmt"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/mod/semver"
)

func main() { fmt.Println(cmp.Equal(semver.Canonical("v1"), "v1.0.0")) }
