package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hallmark-project/hallmark/cmd/internal/cli"
)

// openTerminal returns both ends of a new pseudo-terminal (pty(7)).
func openTerminal(t *testing.T) (person, program *os.File) {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { person.Close() })
	if err := unix.IoctlSetPointerInt(int(person.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(int(person.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	program, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { program.Close() })
	return person, program
}

func echoes(t *testing.T, terminal *os.File) bool {
	t.Helper()
	state, err := unix.IoctlGetTermios(int(terminal.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	return state.Lflag&unix.ECHO != 0
}

// waitSilent waits until the terminal does not echo any more: somebody is asked.
func waitSilent(t *testing.T, terminal *os.File) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); echoes(t, terminal); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("KE-17 the terminal still echoes after 10 s")
		}
	}
}

// TestPromptDoesNotEcho: KE-17. What a person types does not come back.
func TestPromptDoesNotEcho(t *testing.T) {
	t.Parallel()
	person, program := openTerminal(t)
	var messages bytes.Buffer
	a := &app{App: cli.App{Stdin: program, Stderr: &messages, Getenv: func(string) string { return "" }}}
	type answer struct {
		password []byte
		err      error
	}
	answers := make(chan answer, 1)
	go func() {
		password, err := a.readPassword(t.Context(), "", false)
		answers <- answer{password, err}
	}()
	waitSilent(t, program)
	if _, err := person.WriteString("marker-secret\n"); err != nil {
		t.Fatal(err)
	}
	got := <-answers
	if got.err != nil || string(got.password) != "marker-secret" {
		t.Errorf("KE-17 read %q, %v", got.password, got.err)
	}
	if !echoes(t, program) {
		t.Error("KE-17 the terminal does not echo afterwards")
	}
	// The terminal itself says what it showed: at most a line's end.
	if _, err := program.WriteString("END"); err != nil {
		t.Fatal(err)
	}
	var shown []byte
	for chunk := make([]byte, 256); !bytes.Contains(shown, []byte("END")); {
		n, err := person.Read(chunk)
		if err != nil {
			t.Fatal(err)
		}
		shown = append(shown, chunk[:n]...)
	}
	if strings.Contains(string(shown)+messages.String(), "marker") {
		t.Errorf("KE-17 the terminal showed %q, the program wrote %q", shown, messages.String())
	}
}

// TestPromptEndsWithItsContext: KE-17. Ctrl-C at the prompt ends it at once, and the
// terminal is as it was.
func TestPromptEndsWithItsContext(t *testing.T) {
	t.Parallel()
	person, program := openTerminal(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	a := &app{App: cli.App{Stdin: program, Stderr: &bytes.Buffer{}, Getenv: func(string) string { return "" }}}
	done := make(chan error, 1)
	go func() {
		_, err := a.readPassword(ctx, "", true)
		done <- err
	}()
	waitSilent(t, program)
	cancel()
	select {
	case err := <-done:
		if !errors.Is(err, context.Canceled) {
			t.Errorf("KE-17 cancelled: %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("KE-17 the prompt did not end")
	}
	if !echoes(t, program) {
		t.Error("KE-17 the terminal does not echo afterwards")
	}
	// The read goes on until a line comes; it then sets the terminal back, which shows
	// that it is over, and the terminal can be closed.
	state, err := unix.IoctlGetTermios(int(program.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	state.Lflag &^= unix.ECHO
	if err := unix.IoctlSetTermios(int(program.Fd()), unix.TCSETS, state); err != nil {
		t.Fatal(err)
	}
	if _, err := person.WriteString("\n"); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); !echoes(t, program) && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
}
