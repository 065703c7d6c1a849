package verifytest

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/binary"
	"slices"
	"testing"
	"time"
)

// SCT is one signed certificate timestamp to embed.
type SCT struct {
	Log *Log
	At  time.Time
	// Forge changes the signature before it is embedded.
	Forge func(sig []byte) []byte
}

var oidSCTs = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 11129, 2, 4, 2}

// sctList is the extension that holds the SCTs of a certificate which has none
// yet (RFC 6962, section 3.3).
func sctList(t testing.TB, all []SCT, precertificate, issuer *x509.Certificate) pkix.Extension {
	t.Helper()
	var list []byte
	for _, sct := range all {
		one := sct.encode(t, precertificate, issuer)
		list = binary.BigEndian.AppendUint16(list, uint16(len(one)))
		list = append(list, one...)
	}
	list = slices.Concat(binary.BigEndian.AppendUint16(nil, uint16(len(list))), list)
	return pkix.Extension{Id: oidSCTs, Value: der(t, list, "")}
}

// encode signs and writes one SCT (RFC 6962, section 3.2).
func (s SCT) encode(t testing.TB, precertificate, issuer *x509.Certificate) []byte {
	t.Helper()
	key, ok := s.Log.key.(*ecdsa.PrivateKey)
	if !ok {
		t.Fatal("a CT log has an ECDSA key")
	}
	issuerKey := sha256.Sum256(issuer.RawSubjectPublicKeyInfo)
	tbs := precertificate.RawTBSCertificate
	millis := binary.BigEndian.AppendUint64(nil, uint64(s.At.UnixMilli()))
	signed := slices.Concat([]byte{0, 0}, millis, []byte{0, 1}, issuerKey[:],
		[]byte{byte(len(tbs) >> 16), byte(len(tbs) >> 8), byte(len(tbs))}, tbs, []byte{0, 0})
	sum := sha256.Sum256(signed)
	sig, err := ecdsa.SignASN1(rand.Reader, key, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	if s.Forge != nil {
		sig = s.Forge(sig)
	}
	const sha256ECDSA = "\x04\x03" // RFC 5246, section 7.4.1.4.1
	return slices.Concat([]byte{0}, s.Log.ID, millis, []byte{0, 0}, []byte(sha256ECDSA), binary.BigEndian.AppendUint16(nil, uint16(len(sig))), sig)
}
