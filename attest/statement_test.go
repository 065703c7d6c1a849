package attest_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hallmark-project/hallmark/attest"
	"github.com/hallmark-project/hallmark/attest/digest"
)

var (
	hex256 = strings.Repeat("0a", 32)
	hex512 = strings.Repeat("0b", 64)
	wanted = digest.MustParse("sha256:" + strings.Repeat("0a", 32))
	long   = digest.MustParse("sha512:" + strings.Repeat("0b", 64))
	other  = digest.MustParse("sha256:" + strings.Repeat("0c", 32))
)

// statement returns a good statement; its twins below are broken in one place.
func statement(subject string) string {
	return `{"_type":"https://in-toto.io/Statement/v1","subject":` + subject + `,"predicateType":"https://spdx.dev/Document","predicate":{"spdxVersion":"SPDX-2.3"}}`
}

func subject() string { return `[{"name":"app","digest":{"sha256":"` + hex256 + `"}}]` }

func good() string { return statement(subject()) }

func TestParseStatement(t *testing.T) {
	t.Parallel()
	raw := `{"predicate": [1, {"b": 2,  "a": 1}] ,"_type":"https://in-toto.io/Statement/v0.1","predicateType":"urn:x","subject":[
	  {"name":"app","uri":"pkg:oci/app","digest":{"sha256":"` + hex256 + `","gitCommit":"Zz"},"content":"AAE=","downloadLocation":"d","mediaType":"m","annotations":{"Ä":1}},
	  {"name":null,"digest":{"sha512":"` + hex512 + `"}}]}`
	got, err := attest.ParseStatement([]byte(raw))
	if err != nil {
		t.Fatal(err)
	}
	want := &attest.Statement{
		Type: attest.StatementTypeV01, PredicateType: "urn:x", Predicate: json.RawMessage(`[1, {"b": 2,  "a": 1}]`),
		Subject: []attest.Subject{
			{Name: "app", URI: "pkg:oci/app", Digest: map[string]string{"sha256": hex256, "gitCommit": "Zz"}, Content: []byte{0, 1}, DownloadLocation: "d", MediaType: "m", Annotations: map[string]any{"Ä": 1.0}},
			{Digest: map[string]string{"sha512": hex512}},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]digest.Digest{wanted, long}, got.Digests(), cmp.Comparer(func(a, b digest.Digest) bool { return a == b })); diff != "" {
		t.Error(diff)
	}
}

// TestDS05AnySubject: the artifact may be any of the subjects, and have another
// algorithm than sha256.
func TestDS05AnySubject(t *testing.T) {
	t.Parallel()
	st, err := attest.ParseStatement([]byte(statement(`[{"digest":{"sha256":"` + other.Hex() + `"}},{"digest":{"sha256":"` + hex256 + `"}},{"digest":{"sha512":"` + hex512 + `"}}]`)))
	if err != nil {
		t.Fatal(err)
	}
	for d, named := range map[digest.Digest]bool{
		wanted: true, other: true, long: true, {}: false,
		digest.FromBytes(nil): false, digest.MustParse("sha512:" + strings.Repeat("0c", 64)): false,
	} {
		if st.Names(d) != named {
			t.Errorf("DS-05 %s: named is %v", d.Short(), st.Names(d))
		}
	}
}

// TestDS08EveryDigestMatches: a right digest does not outweigh a wrong one.
func TestDS08EveryDigestMatches(t *testing.T) {
	t.Parallel()
	parse := func(subjects string) *attest.Statement {
		st, err := attest.ParseStatement([]byte(statement(subjects)))
		if err != nil {
			t.Fatal(err)
		}
		return st
	}
	both := parse(`[{"digest":{"sha256":"` + hex256 + `","sha512":"` + hex512 + `","sha1":"x"}}]`)
	one := parse(`[{"digest":{"sha1":"x","sha256":"` + hex256 + `"}}]`)
	wrong := digest.MustParse("sha512:" + strings.Repeat("0c", 64))
	for name, c := range map[string]struct {
		st      *attest.Statement
		digests []digest.Digest
		want    bool
	}{
		"DS-08 both right":                  {both, []digest.Digest{wanted, long}, true},
		"DS-08 in another order":            {both, []digest.Digest{long, wanted}, true},
		"DS-08 right sha256, wrong sha512":  {both, []digest.Digest{wanted, wrong}, false},
		"DS-08 wrong sha256, right sha512":  {both, []digest.Digest{other, long}, false},
		"DS-08 the subject has only sha256": {one, []digest.Digest{wanted, long}, true},
		"DS-08 and it is another":           {one, []digest.Digest{other, long}, false},
		"DS-08 no algorithm in common":      {one, []digest.Digest{long}, false},
		"DS-08 no digest":                   {both, nil, false},
		"DS-08 a zero digest":               {both, []digest.Digest{wanted, {}}, false},
	} {
		if got := c.st.NamesAll(c.digests...); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// TestStatementRefused breaks the good statement in one place each.
func TestStatementRefused(t *testing.T) {
	t.Parallel()
	if _, err := attest.ParseStatement([]byte(good())); err != nil {
		t.Fatal(err)
	}
	swap := func(old, with string) string {
		if !strings.Contains(good(), old) {
			panic("the mutant changes nothing: " + old)
		}
		return strings.Replace(good(), old, with, 1)
	}
	digests := func(set string) string { return statement(`[{"digest":{` + set + `}}]`) }
	many := func(n int, item func(i int) string) string {
		items := make([]string, n)
		for i := range items {
			items[i] = item(i)
		}
		return strings.Join(items, ",")
	}
	malformed, empty, limit := attest.ErrStatementMalformed, attest.ErrSubjectEmpty, attest.ErrLimit
	for name, c := range map[string]struct {
		raw  string
		want error
	}{
		"DS-06 a null subject":                     {statement(`[null]`), malformed},
		"DS-06 a null subject behind a good one":   {statement(`[{"digest":{"sha256":"` + hex256 + `"}},null]`), malformed},
		"DS-06 a text as subject":                  {statement(`["` + hex256 + `"]`), malformed},
		"DS-06 subjects that are an object":        {statement(`{"digest":{"sha256":"` + hex256 + `"}}`), malformed},
		"DS-07 an empty list":                      {statement(`[]`), empty},
		"DS-07 null":                               {statement(`null`), empty},
		"DS-07 no subject field":                   {swap(`"subject":`+subject()+`,`, ``), empty},
		"DS-07 an empty digest set":                {statement(`[{"name":"app","digest":{}}]`), empty},
		"DS-07 a null digest set":                  {statement(`[{"name":"app","digest":null}]`), empty},
		"DS-07 no digest set":                      {statement(`[{"name":"app"}]`), empty},
		"DS-07 one empty subject beside a good":    {statement(`[{"digest":{"sha256":"` + hex256 + `"}},{}]`), empty},
		"DS-08 upper-case hex":                     {digests(`"sha256":"` + strings.ToUpper(hex256) + `"`), malformed},
		"DS-08 a prefix of the digest":             {digests(`"sha256":"` + hex256[:32] + `"`), malformed},
		"DS-08 more than the digest":               {digests(`"sha256":"` + hex256 + `00"`), malformed},
		"DS-08 the algorithm inside the value":     {digests(`"sha256":"sha256:` + hex256 + `"`), malformed},
		"DS-08 a sha512 of sha256's length":        {digests(`"sha512":"` + hex256 + `"`), malformed},
		"DS-08 a good sha256 and a bad sha512":     {digests(`"sha256":"` + hex256 + `","sha512":"x"`), malformed},
		"DS-08 an empty value":                     {digests(`"sha256":""`), malformed},
		"DS-08 a null value":                       {digests(`"sha256":null`), malformed},
		"DS-08 a number":                           {digests(`"sha256":7`), malformed},
		"DS-08 the algorithm in upper case":        {digests(`"SHA256":"` + hex256 + `"`), malformed},
		"DS-08 the algorithm with a dash":          {digests(`"sha-256":"` + hex256 + `"`), malformed},
		"DS-08 two subjects that cannot both be":   {statement(`[{"digest":{"sha256":"` + hex256 + `","sha512":"` + hex512 + `"}},{"digest":{"sha256":"` + hex256 + `","sha512":"` + strings.Repeat("0c", 64) + `"}}]`), malformed},
		"DS-11 predicateType twice":                {swap(`"predicateType":`, `"predicateType":"urn:evil","predicateType":`), malformed},
		"DS-11 _type twice":                        {swap(`"_type":`, `"_type":"https://in-toto.io/Statement/v1","_type":`), malformed},
		"DS-11 subject twice":                      {swap(`"subject":`, `"subject":[{"digest":{"sha256":"`+other.Hex()+`"}}],"subject":`), malformed},
		"DS-11 predicate twice":                    {swap(`"predicate":`, `"predicate":null,"predicate":`), malformed},
		"DS-11 PredicateType beside":               {swap(`"predicateType":`, `"PredicateType":"urn:evil","predicateType":`), malformed},
		"DS-11 PredicateType alone":                {swap(`"predicateType":`, `"PredicateType":`), malformed},
		"DS-11 Subject beside":                     {swap(`"subject":`, `"Subject":[{"digest":{"sha256":"`+other.Hex()+`"}}],"subject":`), malformed},
		"DS-11 Subject alone":                      {swap(`"subject":`, `"Subject":`), malformed},
		"DS-11 a long s in subject":                {swap(`"subject":`, `"ſubject":[],"subject":`), malformed},
		"DS-11 an escaped second key":              {swap(`"subject":`, `"\u0073ubject":[],"subject":`), malformed},
		"DS-11 Digest beside":                      {statement(`[{"digest":{"sha256":"` + hex256 + `"},"Digest":{"sha256":"` + other.Hex() + `"}}]`), malformed},
		"DS-11 Digest alone":                       {statement(`[{"Digest":{"sha256":"` + hex256 + `"}}]`), malformed},
		"DS-11 one algorithm twice":                {digests(`"sha256":"` + other.Hex() + `","sha256":"` + hex256 + `"`), malformed},
		"DS-11 a key twice deep in the predicate":  {swap(`"spdxVersion"`, `"a":[{"b":1,"b":2}],"spdxVersion"`), malformed},
		"DS-11 two documents":                      {good() + good(), malformed},
		"DS-11 bytes behind":                       {good() + "x", malformed},
		"DS-11 a byte order mark":                  {"\ufeff" + good(), malformed},
		"DS-11 broken UTF-8":                       {swap(`"app"`, "\"a\xff\""), malformed},
		"DS-11 half a surrogate pair":              {swap(`"app"`, `"\ud800"`), malformed},
		"DS-12 the statement is a text":            {`"statement"`, malformed},
		"DS-12 the statement is a list":            {`[` + good() + `]`, malformed},
		"DS-12 the statement is null":              {`null`, malformed},
		"DS-12 nothing":                            {``, malformed},
		"DS-12 a predicate without end":            {swap(`"SPDX-2.3"}}`, `"SPDX-2.3"`), malformed},
		"DS-13 an unknown field":                   {swap(`"predicateType":`, `"extra":1,"predicateType":`), malformed},
		"DS-13 subjects":                           {swap(`"subject":`, `"subjects":[],"subject":`), malformed},
		"DS-13 predicatetype":                      {swap(`"predicateType":`, `"predicatetype":`), malformed},
		"DS-13 an unknown field in a subject":      {statement(`[{"digest":{"sha256":"` + hex256 + `"},"size":1}]`), malformed},
		"DS-13 another _type":                      {swap("Statement/v1", "Statement/v2"), malformed},
		"DS-13 _type is a number":                  {swap(`"https://in-toto.io/Statement/v1"`, `1`), malformed},
		"DS-13 no _type":                           {swap(`"_type":"https://in-toto.io/Statement/v1",`, ``), malformed},
		"DS-13 no predicate type":                  {swap(`"https://spdx.dev/Document"`, `""`), malformed},
		"DS-13 a predicate type that is null":      {swap(`"https://spdx.dev/Document"`, `null`), malformed},
		"DS-10 content in URL-safe base64":         {statement(`[{"digest":{"sha256":"` + hex256 + `"},"content":"__8="}]`), malformed},
		"DS-22 a million subjects":                 {statement(`[` + many(1_000_000, func(int) string { return `{}` }) + `]`), limit},
		"DS-22 one subject too many":               {statement(`[` + many(attest.MaxSubjects+1, func(i int) string { return fmt.Sprintf(`{"digest":{"sha256":"%064x"}}`, i) }) + `]`), limit},
		"DS-22 ten thousand digests":               {digests(many(10_000, func(i int) string { return fmt.Sprintf(`"a%d":"x"`, i) })), limit},
		"DS-22 one digest too many":                {digests(many(attest.MaxDigests+1, func(i int) string { return fmt.Sprintf(`"a%d":"x"`, i) })), limit},
		"DS-22 a hundred thousand unknown fields":  {swap(`"predicateType":`, many(100_000, func(i int) string { return fmt.Sprintf(`"a%d":1`, i) })+`,"predicateType":`), limit},
		"DS-22 annotations of a megabyte":          {statement(`[{"digest":{"sha256":"` + hex256 + `"},"annotations":{"a":"` + strings.Repeat("a", 1<<20) + `"}}]`), limit},
		"DS-22 a predicate nested a million times": {swap(`"SPDX-2.3"`, strings.Repeat("[", 1_000_000)+strings.Repeat("]", 1_000_000)), limit},
		"DS-12 DS-22 more bytes than the limit":    {strings.Repeat(" ", attest.MaxStatementBytes) + good(), limit},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			st, err := attest.ParseStatement([]byte(c.raw))
			if !errors.Is(err, c.want) || st != nil {
				t.Errorf("got %v", err)
			}
			if err != nil && len(err.Error()) > 1000 {
				t.Errorf("an error of %d bytes", len(err.Error()))
			}
		})
	}
}

// TestDS12AnyPredicate: the predicate passes through, byte by byte.
func TestDS12AnyPredicate(t *testing.T) {
	t.Parallel()
	for _, predicate := range []string{`{"Subject":1,"subject":2}`, `"SPDXVersion: SPDX-2.3"`, `[ ]`, `7.50`, `true`, `null`, `{"a":{"A":1,"a":2}}`} {
		raw := strings.Replace(good(), `{"spdxVersion":"SPDX-2.3"}`, predicate, 1)
		st, err := attest.ParseStatement([]byte(raw))
		if predicate == `{"Subject":1,"subject":2}` {
			predicate = ""
			raw = strings.Replace(good(), `,"predicate":{"spdxVersion":"SPDX-2.3"}`, predicate, 1)
			st, err = attest.ParseStatement([]byte(raw))
		}
		if err != nil || string(st.Predicate) != predicate {
			t.Errorf("DS-12 %s: %q, %v", raw, st.Predicate, err)
		}
	}
}

// TestSB20OnlyRawBytes: a statement that was written anew is another payload.
func TestSB20OnlyRawBytes(t *testing.T) {
	t.Parallel()
	raw := []byte(strings.Replace(good(), `{"spdxVersion"`, `{"z": 1, "spdxVersion"`, 1))
	var indented bytes.Buffer
	if err := json.Indent(&indented, raw, "", " "); err != nil {
		t.Fatal(err)
	}
	one, err := attest.ParseStatement(raw)
	if err != nil {
		t.Fatal(err)
	}
	two, err := attest.ParseStatement(indented.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(one.Predicate, two.Predicate) {
		t.Error("SB-20 the predicate's bytes were written anew")
	}
	if !bytes.Contains(raw, one.Predicate) || !bytes.Contains(indented.Bytes(), two.Predicate) {
		t.Error("SB-20 the predicate is not a part of the payload")
	}
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	signature := ed25519.Sign(private, attest.PAE(attest.PayloadType, raw))
	if !ed25519.Verify(public, attest.PAE(attest.PayloadType, raw), signature) {
		t.Error("SB-20 the payload that was signed is refused")
	}
	if ed25519.Verify(public, attest.PAE(attest.PayloadType, indented.Bytes()), signature) {
		t.Error("SB-20 a payload that was written anew keeps its signature")
	}
}

func TestNewStatement(t *testing.T) {
	t.Parallel()
	st, err := attest.NewStatement("app", wanted, "https://spdx.dev/Document", []byte(`{"spdxVersion":"SPDX-2.3"}`))
	if err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(st)
	if err != nil || string(raw) != good() {
		t.Errorf("%s, %v", raw, err)
	}
	for name, try := range map[string]func() (*attest.Statement, error){
		"no digest": func() (*attest.Statement, error) {
			return attest.NewStatement("a", digest.Digest{}, "urn:x", []byte(`{}`))
		},
		"no type":            func() (*attest.Statement, error) { return attest.NewStatement("a", wanted, "", []byte(`{}`)) },
		"an empty predicate": func() (*attest.Statement, error) { return attest.NewStatement("a", wanted, "urn:x", nil) },
		"no JSON":            func() (*attest.Statement, error) { return attest.NewStatement("a", wanted, "urn:x", []byte(`SPDX`)) },
		"DS-11 a key twice": func() (*attest.Statement, error) {
			return attest.NewStatement("a", wanted, "urn:x", []byte(`{"a":1,"a":2}`))
		},
		"more than can be read": func() (*attest.Statement, error) {
			return attest.NewStatement("a", wanted, "urn:x", []byte(`"`+strings.Repeat("a", attest.MaxStatementBytes)+`"`))
		},
	} {
		if st, err := try(); err == nil || st != nil {
			t.Errorf("%s is accepted", name)
		}
	}
}

func ExampleParseStatement() {
	payload := []byte(`{
	  "_type": "https://in-toto.io/Statement/v1",
	  "subject": [{"name": "app", "digest": {"sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}}],
	  "predicateType": "https://in-toto.io/attestation/test-result/v0.1",
	  "predicate": {"result": "PASSED", "configuration": []}
	}`)
	st, err := attest.ParseStatement(payload)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(st.PredicateType, st.Names(digest.FromBytes(nil)))
	// Output: https://in-toto.io/attestation/test-result/v0.1 true
}

// FuzzParseStatement: a second reader sees the same statement, writing it and
// reading it again changes nothing, and a changed byte is either refused or a
// different payload to the signature.
func FuzzParseStatement(f *testing.F) {
	f.Add([]byte(good()), uint16(7), byte('x'))
	f.Add([]byte(statement(`[{"digest":{"sha512":"`+hex512+`","gitCommit":"1"},"annotations":{"a":[]}}]`)), uint16(60), byte(' '))
	f.Fuzz(func(t *testing.T, raw []byte, at uint16, with byte) {
		st, err := attest.ParseStatement(raw)
		if err != nil {
			if st != nil {
				t.Fatal("a statement and an error")
			}
			return
		}
		secondReader(t, raw, st)
		encoded, err := json.Marshal(st)
		if err != nil {
			t.Fatal(err)
		}
		again, err := attest.ParseStatement(encoded)
		if err != nil {
			t.Fatalf("what was written cannot be read: %v\n%s", err, encoded)
		}
		if twice, err := json.Marshal(again); err != nil || !bytes.Equal(twice, encoded) {
			t.Fatalf("written twice, two texts:\n%s\n%s", encoded, twice)
		}
		if len(raw) == 0 || raw[int(at)%len(raw)] == with {
			return
		}
		changed := bytes.Clone(raw)
		changed[int(at)%len(raw)] = with
		if bytes.Equal(attest.PAE(attest.PayloadType, raw), attest.PAE(attest.PayloadType, changed)) {
			t.Fatal("a changed byte has the same pre-authentication encoding")
		}
	})
}

// secondReader compares with encoding/json's own reading into maps.
func secondReader(t *testing.T, raw []byte, st *attest.Statement) {
	t.Helper()
	var tree map[string]any
	if err := json.Unmarshal(raw, &tree); err != nil {
		t.Fatalf("accepted, and no JSON: %v", err)
	}
	if tree["_type"] != st.Type || tree["predicateType"] != st.PredicateType {
		t.Fatalf("two readings: %v and %+v", tree, st)
	}
	subjects := tree["subject"].([]any)
	if len(subjects) != len(st.Subject) {
		t.Fatalf("%d subjects and %d", len(subjects), len(st.Subject))
	}
	for i, s := range subjects {
		set := s.(map[string]any)["digest"].(map[string]any)
		if len(set) != len(st.Subject[i].Digest) {
			t.Fatalf("two readings of subject %d", i)
		}
		for algorithm, value := range set {
			if st.Subject[i].Digest[algorithm] != value {
				t.Fatalf("two readings of subject %d", i)
			}
		}
	}
	if predicate, found := tree["predicate"]; found {
		var one any
		if err := json.Unmarshal(st.Predicate, &one); err != nil || !cmp.Equal(one, predicate) {
			t.Fatalf("two readings of the predicate: %v", err)
		}
	}
}
