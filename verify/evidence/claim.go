package evidence

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"strings"

	"github.com/hallmark-project/hallmark/attest"
	"github.com/hallmark-project/hallmark/attest/bundle"
	"github.com/hallmark-project/hallmark/attest/digest"
	"github.com/hallmark-project/hallmark/verify"
)

// Claim is what a piece of evidence says about itself. None of it is checked:
// it is for people who look, and must never be shown without saying so.
type Claim struct {
	// Type is the predicate type in the payload, "" where there is no statement.
	Type string
	// Signer is the key's hint or the names in the certificate.
	Signer string
	// Subjects are the digests that the payload names.
	Subjects []string
	// Fault says why the piece could not be read; "" when it could.
	Fault string
}

// maxClaimedSubjects bounds the subjects that a [Claim] lists.
const maxClaimedSubjects = 20

// ReadClaim reads what a piece says about itself, without checking anything.
func ReadClaim(e verify.Evidence) Claim {
	if err := attest.CheckJSON(e.Raw); err != nil {
		return Claim{Fault: err.Error()}
	}
	var c Claim
	var err error
	switch e.Format {
	case verify.FormatBundle:
		err = c.readBundle(e.Raw)
	case verify.FormatLegacySignature:
		err = c.readSimpleSigning(e.Raw)
		c.readCertificate([]byte(e.Annotations[verify.LegacyCertificateAnnotation]))
	case verify.FormatLegacyAttestation:
		err = c.readEnvelope(e.Raw)
		c.readCertificate([]byte(e.Annotations[verify.LegacyCertificateAnnotation]))
	}
	if err != nil {
		c.Fault = err.Error()
	}
	return c
}

func (c *Claim) readBundle(raw []byte) error {
	outline, err := bundle.ParseOutline(raw)
	if err != nil {
		return err
	}
	if outline.KeyHint != "" {
		c.Signer = "key " + outline.KeyHint
	}
	if certificate := outline.Certificate; certificate != nil {
		c.Signer = "certificate of " + strings.Join(certificate.Identities, ", ")
		if certificate.Issuer != "" {
			c.Signer += " (" + certificate.Issuer + ")"
		}
	}
	c.Type = outline.PredicateType
	c.name(outline.Subjects...)
	if !outline.MessageDigest.IsZero() {
		c.name(outline.MessageDigest)
	}
	return outline.StatementFault
}

// name notes the digests that the payload is about.
func (c *Claim) name(subjects ...digest.Digest) {
	for _, d := range subjects {
		if len(c.Subjects) == maxClaimedSubjects {
			return
		}
		c.Subjects = append(c.Subjects, d.String())
	}
}

func (c *Claim) readEnvelope(raw []byte) error {
	envelope, err := attest.ParseEnvelope(raw)
	if err != nil {
		return err
	}
	if hint := envelope.Signatures[0].KeyID; hint != "" {
		c.Signer = "key " + hint
	}
	return c.readStatement(envelope.Payload)
}

func (c *Claim) readStatement(payload []byte) error {
	statement, err := attest.ParseStatement(payload)
	if err != nil {
		return err
	}
	c.Type = statement.PredicateType
	c.name(statement.Digests()...)
	return nil
}

func (c *Claim) readSimpleSigning(raw []byte) error {
	var payload verify.SimpleSigning
	if err := json.Unmarshal(raw, &payload); err != nil {
		return fmt.Errorf("reading the simple signing payload: %w", err)
	}
	c.Subjects = []string{payload.Critical.Image.DockerManifestDigest}
	return nil
}

// readCertificate reads the names of a PEM certificate.
func (c *Claim) readCertificate(text []byte) {
	block, _ := pem.Decode(text)
	if block == nil {
		return
	}
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		c.Signer = "an unreadable certificate"
		return
	}
	var names []string
	for _, uri := range certificate.URIs {
		names = append(names, "uri:"+uri.String())
	}
	for _, address := range certificate.EmailAddresses {
		names = append(names, "email:"+address)
	}
	c.Signer = "certificate of " + strings.Join(names, ", ")
}

// FromFile takes a file's content as evidence: a Sigstore bundle, or a bare DSSE
// envelope. Everything else has [verify.FormatUnknown], which no check accepts.
func FromFile(name string, raw []byte) verify.Evidence {
	e := verify.Evidence{Raw: raw, Origin: verify.Origin{Place: PlaceFile, Location: name}}
	var probe struct {
		MediaType   string `json:"mediaType"`
		PayloadType string `json:"payloadType"`
	}
	if json.Unmarshal(raw, &probe) != nil {
		return e
	}
	switch {
	case probe.MediaType != "":
		if layerFormat(probe.MediaType) == verify.FormatBundle {
			e.Format = verify.FormatBundle
		}
	case probe.PayloadType != "":
		e.Format = verify.FormatLegacyAttestation
	}
	return e
}
