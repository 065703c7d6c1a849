package keyless_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hallmark-project/hallmark/sign/keyless"
	"github.com/hallmark-project/hallmark/verify/trust"
	"github.com/hallmark-project/hallmark/verify/verifytest"
)

// offered is a service in a signing configuration.
type offered struct {
	url, operator string
	version       int
	start, end    time.Duration // from verifytest.Now; a zero end is open
}

func (o offered) MarshalJSON() ([]byte, error) {
	valid := map[string]any{"start": verifytest.Within(o.start).Format(time.RFC3339)}
	if o.end != 0 {
		valid["end"] = verifytest.Within(o.end).Format(time.RFC3339)
	}
	return json.Marshal(map[string]any{"url": o.url, "majorApiVersion": o.version, "operator": o.operator, "validFor": valid})
}

const day = 24 * time.Hour

// configuration is a signing configuration of one service of each kind, after a change.
func configuration(t testing.TB, change func(map[string]any)) []byte {
	t.Helper()
	config := map[string]any{
		"mediaType":       "application/vnd.dev.sigstore.signingconfig.v0.2+json",
		"caUrls":          []offered{{"https://fulcio.test", "a", 1, -day, 0}},
		"oidcUrls":        []offered{{"https://login.test", "a", 1, -day, 0}},
		"rekorTlogUrls":   []offered{{"https://log.test", "a", 2, -day, 0}},
		"rekorTlogConfig": map[string]any{"selector": "ANY"},
		"tsaUrls":         []offered{{"https://tsa.test/api/v1/timestamp", "a", 1, -day, 0}},
		"tsaConfig":       map[string]any{"selector": "ANY"},
	}
	change(config)
	raw, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// logs changes the logs of a configuration.
func logs(selector string, count int, all ...offered) func(map[string]any) {
	return func(config map[string]any) {
		config["rekorTlogUrls"], config["rekorTlogConfig"] = all, map[string]any{"selector": selector, "count": count}
	}
}

// TestFromSigningConfig: of the logs those are taken that are valid now, of the highest
// version, one per operator, as many as the selector wants. What is chosen by chance is
// given as alternatives.
func TestFromSigningConfig(t *testing.T) {
	t.Parallel()
	one, two, three := offered{"https://one.test", "a", 2, -day, 0}, offered{"https://two.test", "b", 2, -day, 0}, offered{"https://three.test", "c", 2, -day, 0}
	old := offered{"https://old.test", "a", 1, -9 * day, 0}
	newer := offered{"https://newer.test", "a", 2, -time.Hour, 0}
	future, past := offered{"https://future.test", "a", 2, day, 0}, offered{"https://past.test", "a", 2, -9 * day, -day}
	unknown := offered{"https://unknown.test", "d", 3, -day, 0}
	for name, row := range map[string]struct {
		change func(map[string]any)
		want   []string // of logs, sorted; alternatives
		fails  bool
	}{
		"one":                         {change: logs("ANY", 0, one), want: []string{"one"}},
		"any of three":                {change: logs("ANY", 0, one, two, three), want: []string{"one", "three", "two"}},
		"all of three":                {change: logs("ALL", 0, one, two, three), want: []string{"one three two"}},
		"exactly two":                 {change: logs("EXACT", 2, one, two, three), want: []string{"one three", "one two", "three two"}},
		"exactly three":               {change: logs("EXACT", 3, one, two, three), want: []string{"one three two"}},
		"exactly four of three":       {change: logs("EXACT", 4, one, two, three), fails: true},
		"exactly none":                {change: logs("EXACT", 0, one, two), fails: true},
		"exactly two of one operator": {change: logs("EXACT", 2, one, newer), fails: true},
		"the newest of an operator":   {change: logs("ALL", 0, one, newer), want: []string{"newer"}},
		"the highest version":         {change: logs("ALL", 0, old, two), want: []string{"two"}},
		"an old version alone":        {change: logs("ALL", 0, old), want: []string{"old"}},
		"an unknown version beside":   {change: logs("ALL", 0, unknown, one), want: []string{"one"}},
		"an unknown version alone":    {change: logs("ALL", 0, unknown), fails: true},
		"not valid yet":               {change: logs("ALL", 0, future, two), want: []string{"two"}},
		"no longer valid":             {change: logs("ALL", 0, past, two), want: []string{"two"}},
		"none is valid":               {change: logs("ALL", 0, past, future), fails: true},
		"old version as the new ends": {change: logs("ALL", 0, past, old), want: []string{"old"}},
		"no selector":                 {change: logs("SERVICE_SELECTOR_UNDEFINED", 0, one), fails: true},
		"unknown selector":            {change: logs("SOME", 0, one), fails: true},
		"no configuration of logs":    {change: func(c map[string]any) { delete(c, "rekorTlogConfig") }, fails: true},
		"no configuration of TSAs":    {change: func(c map[string]any) { delete(c, "tsaConfig") }, fails: true},
		"no logs":                     {change: func(c map[string]any) { delete(c, "rekorTlogUrls") }, want: []string{""}},
		"no authority":                {change: func(c map[string]any) { delete(c, "caUrls") }, fails: true},
		"no time":                     {change: func(c map[string]any) { delete(c, "tsaUrls") }, fails: true},
		"no time but a v1's": {change: func(c map[string]any) {
			logs("ANY", 0, old)(c)
			delete(c, "tsaUrls")
		}, want: []string{"old"}},
		"an authority that has ended": {change: func(c map[string]any) { c["caUrls"] = []offered{past} }, fails: true},
		"an authority of version 2":   {change: func(c map[string]any) { c["caUrls"] = []offered{one} }, fails: true},
		"other media type":            {change: func(c map[string]any) { c["mediaType"] = "application/json" }, fails: true},
		"version 0.1":                 {change: func(c map[string]any) { c["mediaType"] = "application/vnd.dev.sigstore.signingconfig.v0.1+json" }, fails: true},
		"too many": {change: func(c map[string]any) {
			var all []offered
			for i := range 9 {
				all = append(all, offered{fmt.Sprintf("https://log%d.test", i), fmt.Sprint(i), 2, -day, 0})
			}
			logs("ALL", 0, all...)(c)
		}, fails: true},
		"no URL":        {change: logs("ALL", 0, offered{"", "a", 2, -day, 0}), fails: true},
		"a file":        {change: logs("ALL", 0, offered{"file:///etc/passwd", "a", 2, -day, 0}), fails: true},
		"one URL twice": {change: logs("ALL", 0, one, offered{one.url, "b", 2, -day, 0}), fails: true},
		"much too long": {change: func(c map[string]any) {
			c["rekorTlogUrls"] = []offered{{"https://log.test/" + strings.Repeat("x", 1<<20), "a", 2, -day, 0}}
		}, fails: true},
		"an empty one": {change: func(c map[string]any) { clear(c) }, fails: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			raw := configuration(t, row.change)
			seen := make(map[string]bool)
			for range 200 { // each of three alternatives is missed with a chance of 1e-35
				services, err := keyless.FromSigningConfig(raw, verifytest.Now)
				if row.fails {
					if !errors.Is(err, keyless.ErrServices) {
						t.Fatalf("%+v, error %v", services, err)
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				var names []string
				for _, log := range services.Logs {
					names = append(names, strings.TrimSuffix(strings.TrimPrefix(log.URL, "https://"), ".test"))
				}
				slices.Sort(names)
				seen[strings.Join(names, " ")] = true
			}
			for name := range seen {
				if !slices.Contains(row.want, name) {
					t.Errorf("chose %q, want one of %q", name, row.want)
				}
			}
			if len(seen) != len(row.want) {
				t.Errorf("chose %v, want all of %q in time", seen, row.want)
			}
		})
	}
}

// TestFromSigningConfigWhole: every kind of service arrives where it belongs.
func TestFromSigningConfigWhole(t *testing.T) {
	t.Parallel()
	raw := configuration(t, func(map[string]any) {})
	got, err := keyless.FromSigningConfig(raw, verifytest.Now)
	if err != nil {
		t.Fatal(err)
	}
	want := keyless.Services{
		CertificateAuthority: "https://fulcio.test", Issuer: "https://login.test",
		Logs: []keyless.Log{{URL: "https://log.test", Version: 2}}, TimestampAuthorities: []string{"https://tsa.test/api/v1/timestamp"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for _, raw := range []string{"", "{}", "[]", "null", `{"caUrls":[null]}`, string(raw) + "x"} {
		if got, err := keyless.FromSigningConfig([]byte(raw), verifytest.Now); !errors.Is(err, keyless.ErrServices) {
			t.Errorf("%.40q: %+v, error %v", raw, got, err)
		}
	}
}

// TestSigningConfigSigns: a configuration is all that it takes to sign.
func TestSigningConfigSigns(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	for version, want := range map[int]keyless.Services{1: k.v1(), 2: k.v2()} {
		services, err := keyless.FromSigningConfig(k.SigningConfig(t, version), k.Now())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, services); diff != "" {
			t.Error(diff)
		}
		evidence, err := image(soon(t), k.signer(t, services))
		if err != nil {
			t.Fatal(err)
		}
		k.check(t, k.Instance.Verifier(t, trust.Keyless()), evidence)
	}
}

// TestCheck: services that cannot make a signature are refused by name.
func TestCheck(t *testing.T) {
	t.Parallel()
	const ca, v1, v2, tsa = "https://ca.test", "https://v1.test", "https://v2.test", "https://tsa.test/api/v1/timestamp"
	logV1, logV2 := keyless.Log{URL: v1, Version: 1}, keyless.Log{URL: v2, Version: 2}
	for name, row := range map[string]struct {
		services keyless.Services
		says     string // "" is no error
	}{
		"v1":              {keyless.Services{CertificateAuthority: ca, Logs: []keyless.Log{logV1}}, ""},
		"v2 and TSA":      {keyless.Services{CertificateAuthority: ca, Logs: []keyless.Log{logV2}, TimestampAuthorities: []string{tsa}}, ""},
		"v1 and v2":       {keyless.Services{CertificateAuthority: ca, Logs: []keyless.Log{logV1, logV2}}, ""},
		"TSA":             {keyless.Services{CertificateAuthority: ca, TimestampAuthorities: []string{tsa}}, ""},
		"loopback":        {keyless.Services{CertificateAuthority: "http://127.0.0.1:5555", Logs: []keyless.Log{logV1}}, ""},
		"nothing":         {keyless.Services{}, "no certificate authority"},
		"no authority":    {keyless.Services{Logs: []keyless.Log{logV1}}, "no certificate authority"},
		"authority alone": {keyless.Services{CertificateAuthority: ca}, "nobody tells the time"},
		"v2 alone":        {keyless.Services{CertificateAuthority: ca, Logs: []keyless.Log{logV2}}, "nobody tells the time"},
		"version 0":       {keyless.Services{CertificateAuthority: ca, Logs: []keyless.Log{{URL: v1}}}, "version 0"},
		"version 3":       {keyless.Services{CertificateAuthority: ca, Logs: []keyless.Log{{URL: v1, Version: 3}}}, "version 3"},
		"log twice":       {keyless.Services{CertificateAuthority: ca, Logs: []keyless.Log{logV1, {URL: v1 + "/", Version: 1}}}, "named twice"},
		"TSA twice":       {keyless.Services{CertificateAuthority: ca, TimestampAuthorities: []string{tsa, tsa}}, "named twice"},
		"relative":        {keyless.Services{CertificateAuthority: "fulcio.test", Logs: []keyless.Log{logV1}}, "is not an address"},
		"file":            {keyless.Services{CertificateAuthority: "file:///etc/passwd", Logs: []keyless.Log{logV1}}, "is not an address"},
		"query":           {keyless.Services{CertificateAuthority: ca + "?a=b", Logs: []keyless.Log{logV1}}, "is not an address"},
		"fragment":        {keyless.Services{CertificateAuthority: ca + "#a", Logs: []keyless.Log{logV1}}, "is not an address"},
		"password":        {keyless.Services{CertificateAuthority: "https://me:secret@ca.test", Logs: []keyless.Log{logV1}}, "is not an address"},
		"no URL":          {keyless.Services{CertificateAuthority: "https://[", Logs: []keyless.Log{logV1}}, "is no URL"},
		"empty log":       {keyless.Services{CertificateAuthority: ca, Logs: []keyless.Log{logV1, {Version: 1}}}, "is not an address"},
		"many TSAs":       {keyless.Services{CertificateAuthority: ca, TimestampAuthorities: make([]string, 9)}, "more than 8"},
	} {
		err := row.services.Check()
		if row.says == "" {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if !errors.Is(err, keyless.ErrServices) || !strings.Contains(err.Error(), row.says) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// keyRoot trusts a key and no certificate authority.
func keyRoot(t *testing.T) *trust.Root {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key, err := trust.NewKey(private.Public())
	if err != nil {
		t.Fatal(err)
	}
	root, err := trust.NewRoot(trust.WithKeys(key))
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// TestNew: what is missing is said before anything is asked.
func TestNew(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	for name, change := range map[string]func(*keyless.Options){
		"services":              func(o *keyless.Options) { o.Services = keyless.Services{} },
		"token":                 func(o *keyless.Options) { o.Token = nil },
		"root":                  func(o *keyless.Options) { o.Root = nil },
		"authority in the root": func(o *keyless.Options) { o.Root = keyRoot(t) },
	} {
		options := k.options(t, k.v2())
		change(&options)
		if source, err := keyless.New(options); err == nil || source != nil {
			t.Errorf("without %s: %v, error %v", name, source, err)
		}
	}
	if n := k.Requests(); n != 0 {
		t.Errorf("%d requests", n)
	}
}
