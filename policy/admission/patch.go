package admission

import (
	"encoding/json"
	"fmt"

	"github.com/hallmark-project/hallmark/verify/oci"
)

// operation is one of RFC 6902, section 4.3.
type operation struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value string `json:"value"`
}

// pin returns a patch that writes behind each judged reference the digest that it was
// judged by, and how many there are.
func pin(spots []spot) ([]byte, int, error) {
	var all []operation
	for i := range spots {
		s := &spots[i]
		// What an update keeps is left, also where it was judged: the templates of some
		// kinds cannot be changed.
		if s.result == nil || s.kept || s.exemption != nil || !s.ref.Digest.IsZero() || s.result.Digest.IsZero() {
			continue
		}
		pinned, err := pinned(s.place.Image, s.ref, s)
		if err != nil {
			return nil, 0, err
		}
		all = append(all, operation{Op: "replace", Path: s.place.Pointer, Value: pinned})
	}
	if len(all) == 0 {
		return nil, 0, nil
	}
	patch, err := json.Marshal(all)
	if err != nil {
		return nil, 0, fmt.Errorf("writing a patch: %w", err)
	}
	return patch, len(all), nil
}

// pinned returns the reference with the digest behind it, and makes sure that it
// means that and nothing else.
func pinned(text string, ref oci.Reference, s *spot) (string, error) {
	out := text + "@" + s.result.Digest.String()
	again, err := oci.ParseReference(out)
	if err != nil {
		return "", fmt.Errorf("pinning %q: %w", text, err)
	}
	if again.Name() != ref.Name() || again.Digest != s.result.Digest {
		return "", fmt.Errorf("pinning %q: it became %q", text, again)
	}
	return out, nil
}
