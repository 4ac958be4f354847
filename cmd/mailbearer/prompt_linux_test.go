package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// openTerminal makes a terminal: what is typed goes to keyboard, and what a program reads comes from line.
func openTerminal(t *testing.T) (keyboard, line *os.File) {
	t.Helper()
	keyboard, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no terminals here: %v", err)
	}
	t.Cleanup(func() { keyboard.Close() })
	if err := unix.IoctlSetPointerInt(int(keyboard.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(int(keyboard.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if line, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0); err != nil {
		t.Skipf("no terminals here: %v", err)
	}
	t.Cleanup(func() { line.Close() })
	return keyboard, line
}

// echoes says whether a terminal shows what is typed.
func echoes(t *testing.T, line *os.File) bool {
	t.Helper()
	state, err := unix.IoctlGetTermios(int(line.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	return state.Lflag&unix.ECHO != 0
}

// untilHidden waits until nothing is shown of what is typed: the prompt comes a moment before.
func untilHidden(t *testing.T, line *os.File) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); echoes(t, line); runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatal("what is typed is shown")
		}
	}
}

// typist starts a command on a terminal of its own, and returns what it has said when some words come.
func typist(t *testing.T, c *exec.Cmd, keyboard, line *os.File) (until func(words string) string) {
	t.Helper()
	c.Stdin, c.Stdout, c.Stderr = line, line, line
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Process.Kill() })
	said := make(chan []byte)
	go func() {
		defer close(said)
		for {
			part := make([]byte, 4096)
			n, err := keyboard.Read(part)
			if err != nil {
				return
			}
			said <- part[:n]
		}
	}()
	var all bytes.Buffer
	limit := time.After(20 * time.Second)
	return func(words string) string {
		t.Helper()
		for !strings.Contains(all.String(), words) {
			select {
			case part, more := <-said:
				if !more {
					t.Fatalf("it ended before %q:\n%s", words, all.String())
				}
				all.Write(part)
			case <-limit:
				t.Fatalf("it never said %q:\n%s", words, all.String())
			}
		}
		return all.String()
	}
}

// The first Ctrl-C at a prompt ends the command in words, and the terminal is as it was: also where nothing is shown of
// what is typed.
func TestPromptEndsWithCtrlC(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	config := filepath.Join(dir, "mailbearer.toml")
	secret := []string{"init", "--config", config, "--data-dir", dir, "--mailbox", "a@example.com", "--flow", "client-secret",
		"--client-id", "11111111-2222-3333-4444-555555555555"}
	for name, c := range map[string]struct {
		args   []string
		typed  string // before the prompt comes
		prompt string
		hidden bool
	}{
		"init":          {args: []string{"init", "--config", config, "--data-dir", dir}, prompt: "Its address"},
		"init, later":   {args: []string{"init", "--config", config, "--data-dir", dir}, typed: "a@example.com\n", prompt: "Your organization"},
		"init, secret":  {args: append(secret, "--tenant", "example.com"), prompt: "not shown here", hidden: true},
		"hash-password": {args: []string{"hash-password"}, prompt: "Password: ", hidden: true},
		"explain":       {args: []string{"explain"}, prompt: "Paste the error"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			keyboard, line := openTerminal(t)
			cmd := command(c.args...)
			until := typist(t, cmd, keyboard, line)
			keyboard.WriteString(c.typed)
			until(c.prompt)
			if c.hidden {
				untilHidden(t, line)
			}
			keyboard.Write([]byte{3})
			said := until("interrupted: nothing was done")
			if err := cmd.Wait(); cmd.ProcessState.ExitCode() != exitFailed {
				t.Errorf("%v:\n%s", err, said)
			}
			if !echoes(t, line) {
				t.Error("the terminal is left without echo")
			}
		})
	}
	t.Cleanup(func() {
		if left, _ := os.ReadDir(dir); len(left) > 0 {
			t.Errorf("it left %v behind", left)
		}
	})
}

// What is typed without echo arrives.
func TestPromptHides(t *testing.T) {
	t.Parallel()
	keyboard, line := openTerminal(t)
	cmd := command("hash-password")
	until := typist(t, cmd, keyboard, line)
	until("Password: ")
	untilHidden(t, line)
	keyboard.WriteString("sesame-street\n")
	if said := until("$2a$"); strings.Contains(said, "sesame") {
		t.Errorf("the password is shown:\n%s", said)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}
