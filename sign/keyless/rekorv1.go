package keyless

import (
	"errors"
	"fmt"

	"github.com/go-openapi/strfmt"
	"github.com/sigstore/rekor/pkg/generated/client/entries"
	"github.com/sigstore/rekor/pkg/generated/models"
)

// rekorV1 is Rekor's client. The engine reads what it returns as if every field were
// there, so an answer that is not whole ends here.
type rekorV1 struct {
	inner entries.ClientService
}

// CreateLogEntry implements the engine's interface for logs of version 1.
func (r *rekorV1) CreateLogEntry(params *entries.CreateLogEntryParams, options ...entries.ClientOption) (*entries.CreateLogEntryCreated, error) {
	made, err := r.inner.CreateLogEntry(params, options...)
	if err != nil {
		return nil, err
	}
	entry, named := made.Payload[made.ETag]
	if !named {
		return nil, errors.New("reading the log's answer: it names no entry")
	}
	return made, whole(entry)
}

// GetLogEntryByUUID implements the engine's interface for logs of version 1: it is asked
// for the entry that a log says it has already.
func (r *rekorV1) GetLogEntryByUUID(params *entries.GetLogEntryByUUIDParams, options ...entries.ClientOption) (*entries.GetLogEntryByUUIDOK, error) {
	found, err := r.inner.GetLogEntryByUUID(params, options...)
	if err != nil {
		return nil, err
	}
	if len(found.Payload) != 1 {
		return nil, fmt.Errorf("reading the log's answer: %d entries of the name %q", len(found.Payload), params.EntryUUID)
	}
	for _, entry := range found.Payload {
		err = whole(entry)
	}
	return found, err
}

// whole says whether an entry has every field that a bundle needs.
func whole(entry models.LogEntryAnon) error {
	if err := entry.Validate(strfmt.Default); err != nil {
		return fmt.Errorf("reading the log's answer: %w", err)
	}
	if entry.Verification == nil || entry.Verification.InclusionProof == nil {
		return errors.New("reading the log's answer: an entry without a proof")
	}
	return nil
}
