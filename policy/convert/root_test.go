package convert_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"testing"
	"time"

	"github.com/hallmark-project/hallmark/policy"
	"github.com/hallmark-project/hallmark/policy/convert"
	"github.com/hallmark-project/hallmark/verify"
	"github.com/hallmark-project/hallmark/verify/verifytest"
)

// logKey is the PEM of the log whose certificates a test instance uses, in base64.
func logKey(t *testing.T, in *verifytest.Instance, log *verifytest.Log) string {
	t.Helper()
	var root struct {
		Tlogs []struct {
			PublicKey struct {
				RawBytes []byte `json:"rawBytes"`
			} `json:"publicKey"`
		} `json:"tlogs"`
	}
	if err := json.Unmarshal(in.TrustedRoot(t), &root); err != nil {
		t.Fatal(err)
	}
	for _, one := range root.Tlogs {
		if id := sha256.Sum256(one.PublicKey.RawBytes); string(id[:]) == string(log.ID) {
			return base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: one.PublicKey.RawBytes}))
		}
	}
	t.Fatal("the log is not in the root")
	return ""
}

// TestOwnRoot converts requirements with keys of logs and certificate authorities, and
// checks genuine signatures with the roots that come out.
func TestOwnRoot(t *testing.T) {
	t.Parallel()
	in := verifytest.NewInstance(t)
	root, intermediate := in.CA.PEM()
	signing := verifytest.NewKey(t, "ecdsa-p256")
	encoded := base64.StdEncoding.EncodeToString
	const issuer, address = "https://accounts.google.com", "release@acme.example"
	fulcio := fmt.Sprintf(`, "fulcio": {"caData": %q, "oidcIssuer": %q, "subjectEmail": %q}`, encoded(append(intermediate, root...)), issuer, address)
	keyed := fmt.Sprintf(`, "keyData": %q`, encoded(signing.Trusted.PEM()))
	right, wrong := fmt.Sprintf(`, "rekorPublicKeyData": %q`, logKey(t, in, in.Rekor1)), fmt.Sprintf(`, "rekorPublicKeyData": %q`, logKey(t, in, in.SecondV1))
	leaf := verifytest.Leaf{Issuer: issuer, Emails: []string{address}}
	other := leaf
	other.Emails = []string{"other@acme.example"}
	for name, test := range map[string]struct {
		fields  string
		signed  verifytest.Options
		allowed bool
	}{
		"a certificate":                   {fulcio + right, verifytest.Options{Leaf: leaf}, true},
		"a certificate of somebody else":  {fulcio + right, verifytest.Options{Leaf: other}, false},
		"a certificate of another CA":     {fulcio + right, verifytest.Options{Leaf: leaf, CA: in.SecondCA}, false},
		"a certificate in another log":    {fulcio + wrong, verifytest.Options{Leaf: leaf}, false},
		"a key in the log":                {keyed + right, verifytest.Options{Key: signing}, true},
		"a key in another log":            {keyed + wrong, verifytest.Options{Key: signing}, false},
		"SB-01 a key in no log":           {keyed + right, verifytest.Options{Key: signing, Entries: []verifytest.Entry{}, Stamps: []verifytest.Stamp{}}, false},
		"a key in no log, none is wanted": {keyed, verifytest.Options{Key: signing, Entries: []verifytest.Entry{}, Stamps: []verifytest.Stamp{}}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, p := convertText(t, convert.Containers, containersOf(test.fields), func(o *convert.Options) { o.InsecureAnyName = true })
			test.signed.Image = imageDigest
			test.signed.Statement = verifytest.Statement(t, imageDigest, verify.SignaturePredicateType, `{}`)
			subject := verify.Subject{Digest: imageDigest}
			plan, err := p.Plan("reg.example/a")
			if err != nil {
				t.Fatal(err)
			}
			var findings policy.Findings
			for _, anchor := range plan.Roots {
				v, err := verify.New(anchor.Root, anchor.Need, func() time.Time { return in.ClockAtVerification })
				if err != nil {
					t.Fatal(err)
				}
				fact, err := v.Check(subject, in.Sign(t, test.signed).Evidence(t))
				if err != nil {
					t.Log(err)
					continue
				}
				findings.Facts = append(findings.Facts, fact)
			}
			d := p.Decide(policy.Image{Name: "reg.example/a", Target: policy.Part{Subject: subject, Findings: findings}}, in.ClockAtVerification)
			if (d.Verdict == policy.Allow) != test.allowed {
				t.Errorf("decided %s/%s: %+v", d.Verdict, d.Reason, d.Demands)
			}
		})
	}
}
