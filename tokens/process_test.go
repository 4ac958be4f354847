package tokens

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/mailbearer/mailbearer/internal/fake365"
)

// The environment of a child process. It is this test binary, which TestMain sends another way.
const (
	childTask = "MAILBEARER_TEST_TASK" // sign-ins, rotations, or a step to die at
	childDir  = "MAILBEARER_TEST_DIR"
	childFake = "MAILBEARER_TEST_FAKE" // authority, tenant, client id, CA file
	childName = "MAILBEARER_TEST_NAME"
)

const each = 50 // sign-ins, or rotations, of each of two processes

func TestMain(m *testing.M) {
	if task := os.Getenv(childTask); task != "" {
		if err := child(task); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func child(task string) error {
	s, err := OpenStore(StoreOptions{Dir: os.Getenv(childDir)})
	if err != nil {
		return err
	}
	if task == "sign-ins" {
		for i := range each {
			if err := s.SignIn(context.Background(), os.Getenv(childName)+strconv.Itoa(i), person("r")); err != nil {
				return err
			}
		}
		return nil
	}
	where := strings.Split(os.Getenv(childFake), "\n")
	pool, err := LoadCAFile(where[3])
	if err != nil {
		return err
	}
	entra := Entra{Authority: where[0], Tenant: where[1], ClientID: where[2], HTTP: NewHTTPClient(HTTPOptions{RootCAs: pool})}
	flow := Delegated(entra.Provider(nil, nil), s, "a", smtpScopes)
	if task != "rotations" {
		s.step = func(step string) {
			if step == task {
				me, _ := os.FindProcess(os.Getpid())
				me.Kill()
				select {}
			}
		}
	}
	for range each {
		if _, err := flow.Fetch(context.Background()); err != nil {
			return err
		}
	}
	return nil
}

// process starts a child; wait ends with it.
func process(t *testing.T, task, dir, name string, fake *fake365.Server, ca string) (wait func() error) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), exe)
	cmd.Env = append(os.Environ(), childTask+"="+task, childDir+"="+dir, childName+"="+name)
	if fake != nil {
		cmd.Env = append(cmd.Env, childFake+"="+strings.Join([]string{fake.Authority(), fake.Tenant(), fake.ClientID(), ca}, "\n"))
	}
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return func() error {
		if err := cmd.Wait(); err != nil {
			return fmt.Errorf("%w: %s", err, out.String())
		}
		return nil
	}
}

func together(t *testing.T, waits ...func() error) {
	t.Helper()
	for _, wait := range waits {
		if err := wait(); err != nil {
			t.Error(err)
		}
	}
}

func TestTwoProcessesSignIn(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	together(t, process(t, "sign-ins", dir, "a", nil, ""), process(t, "sign-ins", dir, "b", nil, ""))
	s := openStore(t, StoreOptions{Dir: dir})
	if err := s.reload(); err != nil || len(s.known) != 2*each {
		t.Errorf("%d of %d sign-ins are there, %v", len(s.known), 2*each, err)
	}
}

// The fake revokes a refresh token as soon as it is used: one that is used twice, or lost, ends the sign-in.
func TestTwoProcessesRotate(t *testing.T) {
	t.Parallel()
	fake, entra := tenant(t, fake365.Options{})
	ca, err := fake.WriteCA(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	s := openStore(t, StoreOptions{})
	signedInAt(t, fake, s, "a")
	together(t, process(t, "rotations", s.dir, "", fake, ca), process(t, "rotations", s.dir, "", fake, ca))
	if n := fake.Counters(); n.RefreshRotations != 2*each || n.TokensRefused != 0 {
		t.Errorf("%d rotations, %d refused", n.RefreshRotations, n.TokensRefused)
	}
	if _, p := fetch(t, Delegated(entra.Provider(nil, nil), s, "a", smtpScopes)); p != nil {
		t.Error(p)
	}
}

// A process that is killed at any step leaves a store that the next one reads, and a sign-in that works: Entra leaves
// the refresh token that was used good.
func TestKilledAtEachStep(t *testing.T) {
	t.Parallel()
	fake, entra := tenant(t, fake365.Options{KeepRefreshTokens: true})
	ca, err := fake.WriteCA(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []string{"locked", "used", "writing", "half written", "written", "renamed"} {
		t.Run(step, func(t *testing.T) {
			t.Parallel()
			s := openStore(t, StoreOptions{})
			signedInAt(t, fake, s, "a")
			signedInAt(t, fake, s, "b")
			if err := process(t, step, s.dir, "", fake, ca)(); err == nil {
				t.Fatal("the process lived on")
			}
			next := openStore(t, StoreOptions{Dir: s.dir})
			for _, account := range []string{"a", "b"} {
				if _, p := fetch(t, Delegated(entra.Provider(nil, nil), next, account, smtpScopes)); p != nil {
					t.Errorf("%s: %v", account, p)
				}
			}
			if kept, _ := filepath.Glob(next.path("tokens.unreadable-*")); len(kept) != 0 {
				t.Errorf("%v", kept)
			}
		})
	}
}
