package admission

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/hallmark-project/hallmark/attest/strictjson"
	"github.com/hallmark-project/hallmark/attest/wording"
	"github.com/hallmark-project/hallmark/policy"
	"github.com/hallmark-project/hallmark/policy/report"
	"github.com/hallmark-project/hallmark/policy/workload"
	"github.com/hallmark-project/hallmark/verify"
	"github.com/hallmark-project/hallmark/verify/oci"
)

const providerVersion = "externaldata.gatekeeper.sh/v1beta1"

// providerResponse is Gatekeeper's ProviderResponse (externaldata v1beta1).
type providerResponse struct {
	APIVersion string        `json:"apiVersion"`
	Kind       string        `json:"kind"`
	Response   providerItems `json:"response"`
}

type providerItems struct {
	Idempotent  bool           `json:"idempotent"`
	Items       []providerItem `json:"items,omitempty"`
	SystemError string         `json:"systemError,omitempty"`
}

type providerItem struct {
	Key   string `json:"key"`
	Value string `json:"value,omitempty"`
	Error string `json:"error,omitempty"`
}

// Provide answers a request of Gatekeeper for external data. The keys are references;
// the value of one that is allowed is the reference with the digest that was judged,
// and one that is not has an error. Only the cluster's policy counts, since Gatekeeper
// does not say for which namespace it asks, and no exemption does.
//
// Gatekeeper keeps answers for some minutes, which tags do not outlive unharmed: use the
// value in place of the tag.
func (r *Reviewer) Provide(ctx context.Context, body []byte) (a Answer) {
	e := Entry{Operation: "PROVIDE"}
	fail := func(code int, err error) Answer {
		e.Verdict, e.Reason, e.Message = policy.Deny, reasonOf(err), report.Plain(err.Error())
		return provided(code, providerItems{SystemError: e.Message}, e)
	}
	defer func() {
		if fault := recover(); fault != nil {
			a = fail(http.StatusInternalServerError, fmt.Errorf("%w: %v", errInternal, fault))
		}
	}()
	if len(body) > r.options.MaxBody {
		return fail(http.StatusRequestEntityTooLarge, fmt.Errorf("%w: more than %d bytes", strictjson.ErrMany, r.options.MaxBody))
	}
	keys, err := providerKeys(body)
	if err != nil {
		return fail(http.StatusBadRequest, fmt.Errorf("reading a ProviderRequest: %w", err))
	}
	spots := make([]spot, len(keys))
	for i, key := range keys {
		s := &spots[i]
		s.place = workload.Place{Path: fmt.Sprintf("keys[%d]", i), Kind: workload.KindCustom, Image: key}
		if s.ref, s.refErr = oci.ParseReference(key); s.refErr != nil {
			s.deny(policy.ReasonReference, s.refErr.Error(), "")
		}
	}
	r.judgeAll(ctx, Asker{}, spots)
	e.Verdict, e.Allowed = policy.Allow, true
	items := make([]providerItem, len(spots))
	for i := range spots {
		s := &spots[i]
		items[i] = s.item()
		if s.verdict != policy.Allow {
			e.Allowed = false
		}
		if s.verdict.Worse(e.Verdict) {
			e.Verdict, e.Reason = s.verdict, s.reason
		}
		e.Images = append(e.Images, ImageEntry{Place: s.place.Path, Kind: s.place.Kind, Image: s.place.Image, Verdict: s.verdict, Reason: s.reason, Result: s.result})
	}
	return provided(http.StatusOK, providerItems{Items: items}, e)
}

// item is the answer for one key.
func (s *spot) item() providerItem {
	item := providerItem{Key: s.place.Image}
	if s.verdict == policy.Allow && s.ref.Digest.IsZero() && !s.result.Digest.IsZero() {
		text, err := pinned(s.place.Image, s.ref, s)
		if err == nil {
			item.Value = text
			return item
		}
		s.deny(verify.ReasonInternal, err.Error(), "")
	}
	if s.verdict == policy.Allow {
		item.Value = s.place.Image
		return item
	}
	item.Error = s.line()
	return item
}

// provided wraps an answer. It says that it is idempotent, as Gatekeeper demands for
// mutation: what is pinned already stays as it is.
func provided(code int, items providerItems, e Entry) Answer {
	items.Idempotent = true
	body, err := json.Marshal(providerResponse{APIVersion: providerVersion, Kind: "ProviderResponse", Response: items})
	if err != nil {
		return unreadable(http.StatusInternalServerError, err.Error(), e)
	}
	return Answer{Status: code, Body: body, Entry: e}
}

// providerKeys reads a ProviderRequest.
func providerKeys(body []byte) ([]string, error) {
	if err := strictjson.Check(body); err != nil {
		return nil, err
	}
	fields, err := strictjson.Object(body, maxFields)
	if err != nil {
		return nil, err
	}
	var version, kind string
	var keys []string
	for _, f := range fields {
		switch f.Key {
		case "apiVersion":
			version, err = strictjson.Text(f.Value)
		case "kind":
			kind, err = strictjson.Text(f.Value)
		case "request":
			keys, err = keysOf(f.Value)
		}
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", f.Key, err)
		}
	}
	switch {
	case version != providerVersion || kind != "ProviderRequest":
		return nil, fmt.Errorf("%w: it is %q of %q", errMalformed, wording.Short(kind), wording.Short(version))
	case len(keys) == 0:
		return nil, errors.New("it has no keys")
	}
	return keys, nil
}

func keysOf(raw []byte) ([]string, error) {
	fields, err := strictjson.Object(raw, maxFields)
	if err != nil {
		return nil, err
	}
	var keys []string
	for _, f := range fields {
		if f.Key != "keys" {
			continue
		}
		items, err := strictjson.Array(f.Value, maxImages)
		if err != nil {
			return nil, err
		}
		for _, item := range items {
			key, err := strictjson.Text(item)
			if err != nil {
				return nil, err
			}
			keys = append(keys, key)
		}
	}
	return keys, nil
}
