package e2e

import (
	"context"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/hallmark-project/hallmark/verify/oci/registrytest"
)

// chromium renders a page without a sandbox (tests run as root) and without a network.
func chromium(t *testing.T, args ...string) string {
	t.Helper()
	program := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			program = path
			break
		}
	}
	if program == "" {
		t.Fatal("no Chromium: .ci/run installs it")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	args = append([]string{"--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--host-resolver-rules=MAP * ~NOTFOUND", "--user-data-dir=" + t.TempDir()}, args...)
	out, err := exec.CommandContext(ctx, program, args...).Output()
	if err != nil {
		t.Fatalf("rendering: %v", err)
	}
	return string(out)
}

// TestHTMLReport renders a report in Chromium: it is light and dark as its reader wishes,
// nothing runs over the edge of a telephone or a screen, and it is one file that loads
// nothing.
func TestHTMLReport(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	hallmark(t, dir, "key", "generate", "--format", "pkcs8", "--no-password", "--out", "k").want(t, 0, "key generate")
	reg := registrytest.New(t)
	signed := reg.PushImage("team/"+strings.Repeat("a-long-name-", 8)+"app", "1", map[string]string{"a": "b"}).TagRef()
	bare := reg.PushImage("team/bare", "1", map[string]string{"c": "d"}).TagRef()
	hallmark(t, dir, "sign", "--key", "k.key", signed).want(t, 0, "sign")
	hallmark(t, dir, "verify", signed, bare, "127.0.0.1:1/down:1", "--key", "k.pub", "--output", "html", "--output-file", "report.html").want(t, 1, "verify")
	page := filepath.Join(dir, "report.html")
	raw, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if loads := regexp.MustCompile(`(?i)<script|<link|src=|@import|url\(`).FindString(string(raw)); loads != "" {
		t.Errorf("the report loads something: %q", loads)
	}
	for scheme, dark := range map[string]bool{"0": true, "1": false} {
		shot := filepath.Join(dir, "shot"+scheme+".png")
		chromium(t, "--window-size=900,900", "--blink-settings=preferredColorScheme="+scheme, "--screenshot="+shot, "file://"+page)
		if light := brightness(t, shot); (light < 0.5) != dark {
			t.Errorf("brightness %.2f where dark is %t", light, dark)
		}
	}
	// A copy that is allowed to measure itself.
	measured := strings.Replace(regexp.MustCompile(`(?i)<meta[^>]*content-security-policy[^>]*>`).ReplaceAllString(string(raw), ""), "</body>",
		`<script>document.body.innerHTML = "<p id=m>over=" + (document.documentElement.scrollWidth - document.documentElement.clientWidth) + ";</p>"</script></body>`, 1)
	put(t, dir, "measured.html", []byte(measured))
	for _, width := range []string{"360", "800", "1600"} {
		dom := chromium(t, "--window-size="+width+",900", "--dump-dom", "file://"+filepath.Join(dir, "measured.html"))
		if !strings.Contains(dom, "over=0;") {
			found := regexp.MustCompile(`over=-?[0-9]*`).FindString(dom)
			t.Errorf("at %s pixels the page runs over the edge: %q", width, found)
		}
	}
}

// brightness is the mean of a picture's pixels, 0 black and 1 white.
func brightness(t *testing.T, name string) float64 {
	t.Helper()
	file, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	picture, err := png.Decode(file)
	if err != nil {
		t.Fatal(err)
	}
	var sum, n float64
	for y := picture.Bounds().Min.Y; y < picture.Bounds().Max.Y; y += 7 {
		for x := picture.Bounds().Min.X; x < picture.Bounds().Max.X; x += 7 {
			r, g, b, _ := picture.At(x, y).RGBA()
			sum += float64(r+g+b) / (3 * 65535)
			n++
		}
	}
	return sum / n
}
