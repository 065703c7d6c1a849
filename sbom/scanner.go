package sbom

import (
	"context"
	"sync"

	"github.com/anchore/syft/syft"
	"github.com/anchore/syft/syft/cataloging"
)

// licenseScanner prepares syft's license scanner once in a process: it takes a
// second, is the same for every scan, and is safe for concurrent use.
var licenseScanner = sync.OnceValues(func() (context.Context, error) {
	return syft.SetContextLicenseScanner(context.Background(), cataloging.DefaultLicenseConfig())
})

// withScanner is a context that also has the scanner's value, whose key is syft's
// own.
type withScanner struct {
	context.Context
	scanner context.Context
}

// Value implements context.Context.
func (c withScanner) Value(key any) any {
	if value := c.Context.Value(key); value != nil {
		return value
	}
	return c.scanner.Value(key)
}
