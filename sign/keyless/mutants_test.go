package keyless_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/hallmark-project/hallmark/sign/keyless"
	"github.com/hallmark-project/hallmark/verify/trust"
	"github.com/hallmark-project/hallmark/verify/verifytest"
)

// meddler changes the successful answers to the requests whose method and path contain
// some text.
type meddler struct {
	inner  http.RoundTripper
	on     string
	change func([]byte) []byte
}

func (m *meddler) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := m.inner.RoundTrip(request)
	if err != nil || response.StatusCode/100 != 2 || m.change == nil || !strings.Contains(request.Method+" "+request.URL.Path, m.on) {
		return response, err
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	response.Body = io.NopCloser(bytes.NewReader(m.change(raw)))
	response.ContentLength = -1
	response.Header.Del("Content-Length")
	return response, nil
}

// TestMutants changes every field of the services' answers in several ways, and every few
// bytes of what is not JSON. Whatever comes of it is an error, or evidence that a reader
// takes; never a crash.
func TestMutants(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name, on string
		services func(*kit) keyless.Services
		lost     func(*kit) *verifytest.Service // whose first answer is lost
		mutants  func([]byte) [][]byte
	}{
		{"certificate", "/signingCert", (*kit).stamped, nil, jsonMutants},
		{"entry of v1", "POST /api/v1/log/entries", (*kit).v1, nil, jsonMutants},
		{"entry of v1, found", "GET /api/v1/log/entries", (*kit).v1, func(k *kit) *verifytest.Service { return k.Rekor1 }, jsonMutants},
		{"entry of v2", "POST /api/v2/log/entries", (*kit).v2, nil, jsonMutants},
		{"checkpoint of v2", "GET /api/v2/checkpoint", (*kit).v2, func(k *kit) *verifytest.Service { return k.Rekor2 }, byteMutants},
		{"hashes of v2", "GET /api/v2/tile/0", (*kit).v2, func(k *kit) *verifytest.Service { return k.Rekor2 }, byteMutants},
		{"entries of v2", "GET /api/v2/tile/entries", (*kit).v2, func(k *kit) *verifytest.Service { return k.Rekor2 }, byteMutants},
		{"timestamp", "POST /api/v1/timestamp", (*kit).stamped, nil, manyByteMutants},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			k := newKit(t)
			need := trust.Keyless()
			need.LogEntries = len(row.services(k).Logs)
			reader := k.Instance.Verifier(t, need)
			meddler := &meddler{inner: &http.Transport{}, on: row.on}
			try := func(change func([]byte) []byte) error {
				options := k.options(t, row.services(k))
				options.Transport, meddler.change = meddler, change
				source, err := keyless.New(options)
				if err != nil {
					t.Fatal(err)
				}
				source.Hurry()
				if row.lost != nil {
					row.lost(k).Fail(verifytest.Fault{On: "POST", Lose: true, Times: 1})
				}
				evidence, err := k.signImage(soon(t), source)
				if err != nil {
					k.refused(t, evidence, err)
					return err
				}
				k.check(t, reader, evidence)
				return nil
			}
			mutants := 0
			if err := try(func(raw []byte) []byte { mutants = len(row.mutants(raw)); return raw }); err != nil {
				t.Fatal(err)
			}
			refused := 0
			for i := range mutants {
				if try(func(raw []byte) []byte {
					all := row.mutants(raw)
					return all[min(i, len(all)-1)]
				}) != nil {
					refused++
				}
			}
			// The tiles of a log hold much that is about the entries of others.
			if mutants < 20 || refused < mutants/6 {
				t.Errorf("%d of %d mutants were refused", refused, mutants)
			}
		})
	}
}

// byteMutants are a text with a byte changed in 20 places, and texts that end there.
func byteMutants(raw []byte) [][]byte { return mutantsAt(raw, 20) }

// manyByteMutants are three times as many.
func manyByteMutants(raw []byte) [][]byte { return mutantsAt(raw, 60) }

func mutantsAt(raw []byte, places int) [][]byte {
	var all [][]byte
	step := max(1, len(raw)/places)
	for i := 0; i < len(raw); i += step {
		for _, to := range []byte{raw[i] ^ 1, 0x80, 0xff} {
			mutant := bytes.Clone(raw)
			mutant[i] = to
			all = append(all, mutant)
		}
		all = append(all, raw[:i])
	}
	return append(all, append(bytes.Clone(raw), raw...))
}

// jsonMutants are a JSON text with one value replaced, renamed, or left away.
func jsonMutants(raw []byte) [][]byte {
	var root any
	if json.Unmarshal(raw, &root) != nil {
		return nil
	}
	var all [][]byte
	write := func() {
		mutant, err := json.Marshal(root)
		if err == nil {
			all = append(all, mutant)
		}
	}
	others := []any{nil, "", -1, 1e300, []any{nil}, map[string]any{"": nil}}
	var walk func(value any)
	walk = func(value any) {
		switch value := value.(type) {
		case map[string]any:
			for _, name := range slices.Sorted(maps.Keys(value)) {
				was := value[name]
				for _, other := range others {
					value[name] = other
					write()
				}
				delete(value, name)
				write()
				value[name+"x"] = was
				write()
				delete(value, name+"x")
				value[name] = was
				walk(was)
			}
		case []any:
			for i, was := range value {
				for _, other := range others {
					value[i] = other
					write()
				}
				value[i] = was
				walk(was)
			}
		}
	}
	walk(root)
	for _, other := range others {
		root = other
		write()
	}
	return append(all, nil, []byte(" "), raw[:len(raw)/2], []byte(fmt.Sprintf("%s%s", raw, raw)), bytes.Repeat([]byte("["), 1<<16))
}
