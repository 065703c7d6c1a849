package identity

import (
	"fmt"
	"os/exec"
	"runtime"
)

// SystemBrowser returns a function for Options.OpenBrowser that opens a page in the
// browser of this desktop. It fails where there is none: no display, or a session
// over SSH. It does not wait for the browser. Only pages over https or of this
// machine are opened.
func SystemBrowser(getenv func(string) string) func(address string) error {
	return func(address string) error {
		u, err := checkURL(address)
		if err != nil {
			return fmt.Errorf("opening a browser: %w", err)
		}
		name, args := opener(runtime.GOOS, getenv)
		if name == "" {
			return errNoBrowser
		}
		// A command of its own, with neither our input nor our output: results go to
		// stdout, and browsers talk.
		if err := exec.Command(name, append(args, u.String())...).Start(); err != nil {
			return fmt.Errorf("opening a browser: %w", err)
		}
		return nil
	}
}

func opener(system string, getenv func(string) string) (name string, args []string) {
	display := getenv("DISPLAY") != "" || getenv("WAYLAND_DISPLAY") != ""
	remote := getenv("SSH_CONNECTION") != "" || getenv("SSH_TTY") != ""
	switch {
	case system == "darwin" && !remote:
		return "/usr/bin/open", nil
	case system == "windows" && !remote:
		return "rundll32", []string{"url.dll,FileProtocolHandler"}
	case system != "darwin" && system != "windows" && display:
		return "xdg-open", nil
	}
	return "", nil
}
