// Package record keeps everything that a verification saw in one file, so that it
// can be judged again, anywhere, without a network, at another time and under
// another policy.
//
//	recorder := record.NewRecorder()
//	source := recorder.Watch(client)              // in place of the client
//	images := gate.New(p, source, o).JudgeTargets(ctx, targets)
//	file, err := recorder.Record(record.Verification{Policy: p, Time: at, Targets: targets})
//	err = file.Write(out)
//
//	file, err := record.Read(in)
//	again, err := file.Judge(ctx, record.Options{})   // the same report
//
// A record is as trustworthy as its file. Its signatures are checked again, and
// no byte of an image or of evidence can be changed without its digest changing;
// but which digest a tag named, which evidence there was, what could not be looked
// at, the policy, its trust roots and the time are by the word of whoever wrote
// the file. A record explains a decision. It does not prove that the decision was made.
//
// Non-goals: signing records, and keeping what is in an image's layers.
package record

import (
	"errors"
	"time"

	"github.com/hallmark-project/hallmark/attest/digest"
	"github.com/hallmark-project/hallmark/verify/oci"
)

// Schema names the form of a record. It changes when a field changes its meaning.
const Schema = "hallmark.dev/record/v1"

// Limits of a record.
const (
	// MaxBytes bounds a record: a verification may read 320 MB, but records that
	// are kept have some hundred kilobytes; a large SBOM has ten megabytes.
	MaxBytes = 128 << 20
	// MaxBlobBytes bounds one piece of content in it. What is larger, such as an
	// image's layer, is not kept, and is then missing when it is judged again.
	MaxBlobBytes = 32 << 20
	maxAnswers   = 20_000 // a hundred images with all their platforms ask some thousand questions
	maxTargets   = 1_000
	maxDetail    = 4096 // an error's text
)

// Errors of this package.
var (
	// ErrNoRecord: the file is no record, or a damaged one.
	ErrNoRecord = errors.New("not a record")
	// ErrNotRecorded: judging asked what the recorded verification had not asked.
	// It makes an image Undetermined: record it anew under that policy.
	ErrNotRecorded = errors.New("not in the record")
)

// Record is a verification in its file form.
type Record struct {
	Schema string `json:"schema"`
	// Hallmark is the version that wrote it.
	Hallmark string `json:"hallmark"`
	// Time is when the images were judged.
	Time time.Time `json:"time"`
	// Policy is the policy in canonical form, its keys and trust roots inline.
	Policy string `json:"policy"`
	// Platform is the platform that was asked for, or "".
	Platform string `json:"platform,omitempty"`
	// Insecure lists what was weakened on the command line.
	Insecure []string `json:"insecure,omitempty"`
	// Fetched says when trust roots were fetched, by their digest.
	Fetched []Fetched `json:"fetched,omitempty"`
	// Images are what was judged, in its order.
	Images []Image `json:"images"`
	// Sources are the registries and layouts that were asked, and their answers.
	Sources []Source `json:"sources"`
	// Contents are what was found in layers.
	Contents []Content `json:"contents,omitempty"`
	// Blobs are the bytes that answers name by digest.
	Blobs []Blob `json:"blobs"`
}

// Fetched is when a trust root was fetched.
type Fetched struct {
	Root digest.Digest `json:"root"`
	At   time.Time     `json:"at"`
}

// Image is one thing that was judged.
type Image struct {
	// Text is what the user wrote.
	Text string `json:"image"`
	// Name is the canonical name that the policy's rules saw.
	Name      string    `json:"name,omitempty"`
	Reference Reference `json:"reference,omitzero"`
	// Source is the index of the source under [Record.Sources].
	Source int `json:"source"`
	// Layout is where the layout lay, or "".
	Layout string `json:"layout,omitempty"`
	// Failure says why there was nothing to judge.
	Failure *Failure `json:"failure,omitempty"`
}

// Reference is an image reference in its parts. It may have neither tag nor digest,
// for the only image of a layout.
type Reference struct {
	Name   string        `json:"name,omitempty"` // host/repository
	Tag    string        `json:"tag,omitempty"`
	Digest digest.Digest `json:"digest,omitzero"`
}

// Source is one registry or layout.
type Source struct {
	Answers []Answer `json:"answers,omitempty"`
}

// Question is what a source was asked.
type Question struct {
	// Call is "resolve", "manifest", "tag", "blob", "referrers" or "referrersTag".
	Call      string          `json:"call"`
	Reference Reference       `json:"reference"`
	Tag       string          `json:"tag,omitempty"`     // of "tag"
	Digest    digest.Digest   `json:"digest,omitzero"`   // of the referrers
	Content   *oci.Descriptor `json:"content,omitempty"` // of "manifest" and "blob"
	Limit     int64           `json:"limit,omitempty"`   // of "blob", in bytes
}

// Answer is a question and what came back: one of the fields after it.
type Answer struct {
	Asked Question `json:"asked"`
	// Resolved is the descriptor behind a reference.
	Resolved *oci.Descriptor `json:"resolved,omitempty"`
	// Blob names content under [Record.Blobs]; of a manifest, MediaType is its type.
	Blob      digest.Digest `json:"blob,omitzero"`
	MediaType string        `json:"mediaType,omitempty"`
	// Listed are the referrers, from Place.
	Listed []oci.Descriptor `json:"listed,omitempty"`
	Place  oci.Place        `json:"place,omitempty"`
	// Empty tells that the list was empty.
	Empty bool `json:"empty,omitempty"`
	// Failure is why there was no answer.
	Failure *Failure `json:"failure,omitempty"`
}

// Blob is content that was read.
type Blob struct {
	Digest  digest.Digest `json:"digest"`
	Content []byte        `json:"content"`
}
