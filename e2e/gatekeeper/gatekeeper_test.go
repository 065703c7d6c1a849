// Package gatekeeper runs the constraint template of deploy/gatekeeper in OPA, the
// engine that is inside Gatekeeper.
package gatekeeper

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/types"
	"go.yaml.in/yaml/v3"
)

// TestTemplate: AD-01, AD-02, AD-03: each place of a Pod is asked about, and no answer is
// no permission.
func TestTemplate(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("../../deploy/gatekeeper/template.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var template struct {
		Spec struct {
			Targets []struct{ Target, Rego string }
		}
	}
	if err := yaml.Unmarshal(raw, &template); err != nil {
		t.Fatal(err)
	}
	text := template.Spec.Targets[0].Rego
	item := func(image string) map[string]any { return map[string]any{"image": image} }
	for name, test := range map[string]struct {
		spec   map[string]any
		system string
		mute   bool
		want   []string // a part of each message
	}{
		"good":               {map[string]any{"containers": []any{item("good")}}, "", false, nil},
		"bad":                {map[string]any{"containers": []any{item("bad")}}, "", false, []string{"bad: denied"}},
		"AD-01 init":         {map[string]any{"containers": []any{item("good")}, "initContainers": []any{item("bad")}}, "", false, []string{"bad: denied"}},
		"AD-02 ephemeral":    {map[string]any{"containers": []any{item("good")}, "ephemeralContainers": []any{item("bad")}}, "", false, []string{"bad: denied"}},
		"AD-03 volume":       {map[string]any{"containers": []any{item("good")}, "volumes": []any{map[string]any{"image": map[string]any{"reference": "bad"}}, map[string]any{"emptyDir": map[string]any{}}}}, "", false, []string{"bad: denied"}},
		"AD-11 no server":    {map[string]any{"containers": []any{item("good")}}, "timeout", true, []string{"could not be checked: timeout", "there is no answer"}},
		"AD-11 no answer":    {map[string]any{"containers": []any{item("good")}}, "", true, []string{"good: could not be checked"}},
		"two bad, one twice": {map[string]any{"containers": []any{item("bad"), item("bad"), item("bad too")}}, "", false, []string{"bad too: denied", "bad: denied"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			query := rego.New(
				rego.Query("data.hallmarkimages.violation"), rego.SetRegoVersion(ast.RegoV0), rego.Module("template.rego", text),
				rego.Input(map[string]any{"review": map[string]any{"object": map[string]any{"spec": test.spec}}}),
				rego.Function1(&rego.Function{Name: "external_data", Decl: types.NewFunction(types.Args(types.A), types.A)}, provider(test.system, test.mute)),
			)
			results, err := query.Eval(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, v := range results[0].Expressions[0].Value.([]any) {
				got = append(got, v.(map[string]any)["msg"].(string))
			}
			slices.Sort(got)
			if len(got) != len(test.want) {
				t.Fatalf("got %q, want %q", got, test.want)
			}
			for _, want := range test.want {
				if !slices.ContainsFunc(got, func(message string) bool { return strings.Contains(message, want) }) {
					t.Errorf("%q speaks not of %q", got, want)
				}
			}
		})
	}
}

// provider answers as Gatekeeper passes on what hallmark-verify says: pairs of key and
// value, pairs of key and error, and what went wrong as a whole.
func provider(system string, mute bool) rego.Builtin1 {
	return func(_ rego.BuiltinContext, request *ast.Term) (*ast.Term, error) {
		asked, err := ast.JSON(request.Value)
		if err != nil {
			return nil, err
		}
		question := asked.(map[string]any)
		if question["provider"] != "hallmark-verify" {
			return nil, fmt.Errorf("no provider %v", question["provider"])
		}
		responses, errors := []any{}, []any{}
		for _, key := range question["keys"].([]any) {
			switch {
			case mute:
			case strings.HasPrefix(key.(string), "bad"):
				errors = append(errors, []any{key, "denied, NO_EVIDENCE"})
			default:
				responses = append(responses, []any{key, key})
			}
		}
		value, err := ast.InterfaceToValue(map[string]any{"responses": responses, "errors": errors, "system_error": system, "status_code": 200})
		return ast.NewTerm(value), err
	}
}
