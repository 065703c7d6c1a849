package attest

import (
	"errors"
	"fmt"

	"github.com/hallmark-project/hallmark/attest/strictjson"
)

// CheckJSON reports whether raw is exactly one JSON value that every parser
// reads alike; see package strictjson. Errors wrap [ErrStatementMalformed] or
// [ErrLimit].
func CheckJSON(raw []byte) error { return named(strictjson.Check(raw)) }

// named gives an error of strictjson this package's name.
func named(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, strictjson.ErrDepth), errors.Is(err, strictjson.ErrMany):
		return fmt.Errorf("%w: %w", ErrLimit, err)
	}
	return fmt.Errorf("%w: %w", ErrStatementMalformed, err)
}
