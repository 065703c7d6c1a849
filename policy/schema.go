package policy

import _ "embed"

//go:embed schema.json
var schemaJSON string

// Schema returns a JSON Schema (draft 2020-12) of one file of a policy, for editors. It
// is written from the same types as the reader, and is weaker than it: what the
// schema refuses, [ParseFiles] refuses; whether signers and rules stand in some file,
// what names must exist, what patterns and conditions mean, and what contradicts
// itself only [ParseFiles] knows.
func Schema() []byte { return []byte(schemaJSON) }
