package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/hallmark-project/hallmark/attest/wholefile"
	"github.com/hallmark-project/hallmark/cmd/internal/cli"
	"github.com/hallmark-project/hallmark/policy/gate"
	"github.com/hallmark-project/hallmark/policy/record"
	"github.com/hallmark-project/hallmark/policy/report"
	"github.com/hallmark-project/hallmark/verify/oci"
)

// watch replaces the sources of targets by ones whose answers are written down.
func watch(targets []gate.Target) *record.Recorder {
	recorder := record.NewRecorder()
	watchWith(recorder, targets)
	return recorder
}

// watchWith has a recorder write down what the targets' sources answer.
func watchWith(recorder *record.Recorder, targets []gate.Target) {
	for i := range targets {
		if t := &targets[i]; t.Err == nil && t.Source != nil {
			t.Source = recorder.Watch(t.Source)
		}
	}
}

// writeRecord asks for the rest of the evidence, which another policy may want, and
// writes the file of a verification.
func writeRecord(ctx context.Context, path string, recorder *record.Recorder, v record.Verification, r *report.Report) error {
	for _, t := range v.Targets {
		widen(ctx, t)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	v.Time, v.Hallmark, v.Insecure = r.Time, version, r.Insecure
	for _, root := range r.TrustRoots {
		if !root.Fetched.IsZero() {
			v.Fetched = append(v.Fetched, record.Fetched{Root: root.Digest, At: root.Fetched})
		}
	}
	file, err := recorder.Record(v)
	if err != nil {
		return err
	}
	if _, err = wholefile.Write(path, 0o644, file.Write); err != nil {
		return fmt.Errorf("writing the record: %w", err)
	}
	return nil
}

// widenTimeout bounds the questions beyond a verification about one image; what has no
// answer by then is recorded as unanswered.
const widenTimeout = 2 * time.Minute

func widen(ctx context.Context, t gate.Target) {
	ctx, cancel := context.WithTimeout(ctx, widenTimeout)
	defer cancel()
	record.Widen(ctx, t)
}

// withoutNetwork keeps the whole process from connecting to anything.
func (a *app) withoutNetwork() {
	if a.Confine != nil {
		a.Confine(oci.ReachNothing)
	}
}

// readRecord reads the file of a verification; "-" is standard input.
func (a *app) readRecord(path string) (*record.Record, error) {
	var in io.Reader = a.Stdin
	if path != "-" {
		file, err := os.Open(path)
		if errors.Is(err, fs.ErrNotExist) {
			err = fmt.Errorf("reading %s: no such file", path)
		}
		if err != nil {
			return nil, cli.Undetermined(cli.Hint(err, "hallmark verify --record FILE writes a record"))
		}
		defer file.Close()
		in = file
	}
	r, err := record.Read(in)
	if err != nil {
		return nil, cli.Undetermined(cli.Hint(fmt.Errorf("%s: %w", path, err), "hallmark verify --record FILE writes a record"))
	}
	return r, nil
}
