package strictjson_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"testing"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/hallmark-project/hallmark/attest/strictjson"
)

func TestCheckAccepts(t *testing.T) {
	t.Parallel()
	for _, raw := range []string{
		`null`, ` true `, `false`, `0`, `-0`, `-12.50e+10`, `1E5`, `""`, `"\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00ü"`, `[]`, `{}`, "\t[ ]\r\n", `[1,[2,{"a":[]}]]`,
		`{"a":1,"b":{"a":1,"A":2},"c":[{"a":1},{"a":2}]}`, strings.Repeat("[", strictjson.MaxDepth) + strings.Repeat("]", strictjson.MaxDepth),
	} {
		if err := strictjson.Check([]byte(raw)); err != nil {
			t.Errorf("%s: %v", raw, err)
		}
	}
}

func TestCheckRefuses(t *testing.T) {
	t.Parallel()
	for _, raw := range []string{
		``, ` `, `{`, `[`, `]`, `}`, `[1`, `[1,]`, `[,1]`, `{"a"}`, `{"a":}`, `{"a":1,}`, `{,}`, `{a:1}`, `{'a':1}`, `{1:2}`, `[1 2]`, `{"a" 1}`, `{"a":1 "b":2}`, `[}`, `{]`,
		`nul`, `nulll`, `True`, `NaN`, `Infinity`, `+1`, `01`, `1.`, `.5`, `1e`, `1e+`, `-`, `--1`, `0x1`, `1_000`,
		`"`, `"a`, `"\"`, `"\x"`, `"\u12"`, `"\u12g4"`, "\"a\nb\"", "\"\x00\"", `'a'`, "\"\xff\"", "\"\xed\xa0\x80\"",
		`"\ud800"`, `"\ud800\u0041"`, `"\udc00"`, `"\ud800\ud800"`, `"\ud800x"`, `"\ud800\`, `{"\ud800":1}`,
		`1 2`, `{} {}`, `{}x`, "\ufeff{}", `/* */ {}`, "{}\x00", "\u00a0{}",
		`{"a":1,"a":2}`, `{"a":1,"b":2,"a":3}`, `{"a":1,"\u0061":2}`, `{"a\"b\\":1,"a\u0022b\u005c":2}`, `{"\"":1,"\"":2}`, `{"\/":1,"/":2}`, `{"a":1,"A":2}`, `{"k":1,"` + "\u212a" + `":2}`, `{"s":1,"ſ":2}`, `{"x":{"a":1,"a":2}}`, `[[{"a":1,"a":2}]]`, `{"":1,"":2}`,
	} {
		if err := strictjson.Check([]byte(raw)); !errors.Is(err, strictjson.ErrMalformed) {
			t.Errorf("%q: %v", raw, err)
		}
	}
	for _, open := range []string{"[", `{"a":`} {
		for _, n := range []int{strictjson.MaxDepth + 1, 1_000_000} {
			if err := strictjson.Check([]byte(strings.Repeat(open, n))); !errors.Is(err, strictjson.ErrDepth) {
				t.Errorf("%d times %s: %v", n, open, err)
			}
		}
	}
}

// TestManyKeys: two equal keys are found however far apart, in an object of any
// size, and the next object starts anew.
func TestManyKeys(t *testing.T) {
	t.Parallel()
	for _, n := range []int{2, 22, 23, 24, 25, 26, 100, 5000} {
		keys := make([]string, n)
		for i := range keys {
			keys[i] = fmt.Sprintf(`"key%d":{"key%d":1,"key0":[]}`, i, i+1)
		}
		fine := `[{` + strings.Join(keys, ",") + `},{"key1":1}]`
		if err := strictjson.Check([]byte(fine)); err != nil {
			t.Errorf("%d keys: %v", n, err)
		}
		for _, same := range []int{0, n / 2, n - 1} {
			twice := `[{` + strings.Join(keys, ",") + fmt.Sprintf(`,"key%d":0}]`, same)
			if err := strictjson.Check([]byte(twice)); !errors.Is(err, strictjson.ErrMalformed) {
				t.Errorf("%d keys, number %d twice: %v", n, same, err)
			}
		}
	}
}

// TestLargeObjectCostsOnce: a large object does not make every small one behind
// it cost the same again. A reader that does needs minutes for this.
func TestLargeObjectCostsOnce(t *testing.T) {
	t.Parallel()
	var raw bytes.Buffer
	raw.WriteString(`[{`)
	for i := range 300_000 {
		fmt.Fprintf(&raw, `"%d":1,`, i)
	}
	raw.WriteString(`"x":0}`)
	raw.WriteString(strings.Repeat(`,{"a":1}`, 500_000))
	raw.WriteString(`]`)
	if err := strictjson.Check(raw.Bytes()); err != nil {
		t.Error(err)
	}
}

func TestCheckAllocatesLittle(t *testing.T) { // not parallel: it counts allocations
	raw := document(1 << 20)
	if n := testing.AllocsPerRun(3, func() {
		if err := strictjson.Check(raw); err != nil {
			t.Error(err)
		}
	}); n > 20 {
		t.Errorf("%v allocations for a megabyte", n)
	}
}

type target struct {
	Name  string          `json:"name"`
	Items []*item         `json:"items,omitempty"`
	Free  json.RawMessage `json:"free"`
	Set   map[string]int  `json:"set"`
	Not   string          `json:"-"`
}

type item struct {
	Size int `json:"size"`
}

func TestDecode(t *testing.T) {
	t.Parallel()
	var got target
	err := strictjson.Decode([]byte(`{"name":"a","items":[{"size":1},null],"free":{"Size":1,"x":2},"set":{"Name":1}}`), &got)
	want := target{Name: "a", Items: []*item{{Size: 1}, nil}, Free: json.RawMessage(`{"Size":1,"x":2}`), Set: map[string]int{"Name": 1}}
	if err != nil || !cmp.Equal(want, got) {
		t.Errorf("%v %s", err, cmp.Diff(want, got))
	}
	for _, raw := range []string{
		`{"Name":"a"}`, `{"nam":"a"}`, `{"items":[{"Size":1}]}`, `{"items":[{"size":1},{"siz":1}]}`, `{"-":"x"}`, `{"Not":"x"}`, `{"name":1}`, `[]`, `"a"`, `{"name":"a"}x`, `{"name":"a","name":"b"}`, `{"name":"a","NAME":"b"}`,
	} {
		var got target
		if err := strictjson.Decode([]byte(raw), &got); !errors.Is(err, strictjson.ErrMalformed) {
			t.Errorf("%s: %+v, %v", raw, got, err)
		}
	}
}

func TestObjectAndArray(t *testing.T) {
	t.Parallel()
	raw := []byte(` { "a" : [1,{"x":"},]"}] , "\u0062": "\"," ,"c":{}} `)
	fields, err := strictjson.Object(raw, 3)
	want := []strictjson.Field{{Key: "a", Value: []byte(`[1,{"x":"},]"}]`)}, {Key: "b", Value: []byte(`"\","`)}, {Key: "c", Value: []byte(`{}`)}}
	if err != nil || !cmp.Equal(want, fields) {
		t.Errorf("%v %s", err, cmp.Diff(want, fields))
	}
	if _, err := strictjson.Object(raw, 2); !errors.Is(err, strictjson.ErrMany) {
		t.Errorf("three fields where two are wanted: %v", err)
	}
	items, err := strictjson.Array(fields[0].Value, 2)
	if err != nil || len(items) != 2 || string(items[1]) != `{"x":"},]"}` {
		t.Errorf("%q, %v", items, err)
	}
	if _, err := strictjson.Array(fields[0].Value, 1); !errors.Is(err, strictjson.ErrMany) {
		t.Errorf("two items where one is wanted: %v", err)
	}
	for _, empty := range []string{`[]`, `[ ]`} {
		if items, err := strictjson.Array([]byte(empty), 0); err != nil || len(items) != 0 {
			t.Errorf("%s: %q, %v", empty, items, err)
		}
	}
	for _, other := range []string{`7`, `null`, `"{}"`, `[]`, ``, `{`} {
		if _, err := strictjson.Object([]byte(other), 9); !errors.Is(err, strictjson.ErrMalformed) {
			t.Errorf("%s as an object: %v", other, err)
		}
	}
	if !strictjson.IsNull([]byte(" null\n")) || strictjson.IsNull([]byte(`"null"`)) {
		t.Error("null is not told from a text")
	}
}

func ExampleCheck() {
	fmt.Println(strictjson.Check([]byte(`{"subject": "good", "Subject": "evil"}`)))
	// Output: malformed JSON: key "SUBJECT" stands twice in one object, at byte 29
}

// FuzzCheck: what is accepted, encoding/json accepts, and a token-wise second
// reader finds no equal keys in it; what is refused has one of the named faults.
func FuzzCheck(f *testing.F) {
	for _, seed := range []string{`{"a":[1,{"b":null}],"c":"\u0041"}`, `{"a":1,"A":2}`, `[1.5e3,true]`, `"\ud83d\ude00"`, `{"a":{"a":{"a":1,"a":2}}}`, `"\ud800"`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		err := strictjson.Check(raw)
		valid := json.Valid(raw) && utf8.Valid(raw)
		if err == nil && !valid {
			t.Fatalf("accepted, and no JSON: %q", raw)
		}
		fault := valid && (equalKeys(t, raw) || deepest(raw) > strictjson.MaxDepth || hasHalfPair(raw))
		if err != nil && valid && !fault {
			t.Fatalf("refused without a fault: %v: %q", err, raw)
		}
		if err == nil && fault {
			t.Fatalf("accepted with a fault: %q", raw)
		}
		if err != nil {
			return
		}
		if fields, err := strictjson.Object(raw, len(raw)); err == nil {
			var second map[string]json.RawMessage
			if err := json.Unmarshal(raw, &second); err != nil || len(second) != len(fields) {
				t.Fatalf("two readings: %q", raw)
			}
			for _, field := range fields {
				if !bytes.Equal(second[field.Key], field.Value) {
					t.Fatalf("two readings of %q: %q and %q", field.Key, field.Value, second[field.Key])
				}
			}
		}
		if items, err := strictjson.Array(raw, len(raw)); err == nil {
			var second []json.RawMessage
			if err := json.Unmarshal(raw, &second); err != nil || len(second) != len(items) {
				t.Fatalf("two readings: %q", raw)
			}
		}
	})
}

// equalKeys is the second reader, over encoding/json's tokens.
func equalKeys(t *testing.T, raw []byte) bool {
	t.Helper()
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	type level struct {
		object, value bool
		keys          []string
	}
	stack := []*level{{}}
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			return false
		}
		if err != nil {
			t.Fatal(err)
		}
		top := stack[len(stack)-1]
		if text, isText := token.(string); isText && top.object && !top.value {
			for _, other := range top.keys {
				if other == text || len(stack) == 2 && strings.EqualFold(other, text) {
					return true
				}
			}
			top.keys, top.value = append(top.keys, text), true
			continue
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			stack = append(stack, &level{object: token == json.Delim('{')})
			continue
		case json.Delim('}'), json.Delim(']'):
			stack = stack[:len(stack)-1]
			top = stack[len(stack)-1]
		}
		top.value = false
	}
}

func deepest(raw []byte) (most int) {
	depth, quoted := 0, false
	for i := 0; i < len(raw); i++ {
		switch {
		case quoted && raw[i] == '\\':
			i++
		case raw[i] == '"':
			quoted = !quoted
		case quoted:
		case raw[i] == '{' || raw[i] == '[':
			depth++
			most = max(most, depth)
		case raw[i] == '}' || raw[i] == ']':
			depth--
		}
	}
	return most
}

// hasHalfPair finds half a surrogate pair with package utf16.
func hasHalfPair(raw []byte) bool {
	unit := func(i int) rune {
		if i+6 > len(raw) || raw[i] != '\\' || raw[i+1] != 'u' {
			return 0
		}
		n, err := strconv.ParseUint(string(raw[i+2:i+6]), 16, 16)
		if err != nil {
			return 0
		}
		return rune(n)
	}
	for i := 0; i < len(raw); i++ {
		if raw[i] != '\\' {
			continue
		}
		if r := unit(i); utf16.IsSurrogate(r) {
			if utf16.DecodeRune(r, unit(i+6)) == utf8.RuneError {
				return true
			}
			i += 6
		}
		i++ // the escaped character
	}
	return false
}

// document is like a CycloneDX document of about the given size.
func document(size int) []byte {
	var raw bytes.Buffer
	raw.WriteString(`{"bomFormat":"CycloneDX","specVersion":"1.6","components":[`)
	for i := 0; raw.Len() < size; i++ {
		if i > 0 {
			raw.WriteByte(',')
		}
		fmt.Fprintf(&raw, `{
      "bom-ref": "pkg:npm/left-pad@1.%d.0?package-id=%016x",
      "type": "library",
      "name": "left-pad-%d",
      "version": "1.%d.0",
      "licenses": [{"license": {"id": "MIT"}}],
      "cpe": "cpe:2.3:a:left-pad:left-pad:1.%d.0:*:*:*:*:*:*:*",
      "properties": [{"name": "syft:package:foundBy", "value": "javascript-lock-cataloger"}, {"name": "syft:location:0:path", "value": "/app/package-lock.json"}]
    }`, i, i, i, i, i)
	}
	raw.WriteString(`]}`)
	return raw.Bytes()
}

func BenchmarkCheck50MB(b *testing.B) {
	raw := document(50 << 20)
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	for b.Loop() {
		if err := strictjson.Check(raw); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkValid50MB(b *testing.B) { // what json.Valid alone costs, for comparison
	raw := document(50 << 20)
	b.SetBytes(int64(len(raw)))
	for b.Loop() {
		if !json.Valid(raw) {
			b.Fatal("invalid")
		}
	}
}
