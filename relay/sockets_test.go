package relay

import (
	"net"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/rs/zerolog"
)

func TestPassedSockets(t *testing.T) {
	t.Parallel()
	env := func(fds, names string, pid int) func(string) string {
		return func(key string) string {
			return map[string]string{"LISTEN_FDS": fds, "LISTEN_FDNAMES": names, "LISTEN_PID": strconv.Itoa(pid)}[key]
		}
	}
	for _, c := range []struct {
		fds, names string
		pid        int
		want       string
	}{
		{"2", "smtp:smtps", 7, "1"}, {"1", "smtps", 7, "0"}, {"1", "smtp:smtps", 7, "no socket named"}, {"2", "a:b", 7, `FileDescriptorName=smtps`},
		{"", "", 7, "no sockets"}, {"1", "smtps", 8, "no sockets"}, {"-1", "smtps", 7, "no sockets"}, {"9", "smtps", 7, "0"},
	} {
		i, err := passedIndex("smtps", env(c.fds, c.names, c.pid), 7)
		got := strconv.Itoa(i)
		if err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, c.want) {
			t.Errorf("%s %s for %d: %s, want %s", c.fds, c.names, c.pid, got, c.want)
		}
	}
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l, err := passedListener("smtp", env("1", "smtp", 7), 7, func(fd uintptr, _ string) *os.File {
		f, err := inner.(*net.TCPListener).File()
		if fd != firstPassed || err != nil {
			t.Errorf("descriptor %d, %v", fd, err)
		}
		return f
	})
	if err != nil {
		t.Fatal(err)
	}
	inner.Close()
	go func() {
		if c, err := net.Dial("tcp", l.Addr().String()); err == nil {
			c.Close()
		}
	}()
	if c, err := l.Accept(); err != nil {
		t.Error(err)
	} else {
		c.Close()
	}
	l.Close()
}

// TestAddressesAsConfigured: what the log says is ready can be copied into a configuration.
func TestAddressesAsConfigured(t *testing.T) {
	t.Parallel()
	path := "unix:" + t.TempDir() + "/s"
	a, b := policy(), policy()
	a.Address = path
	r, err := Open(Options{Hostname: "relay.example.test", Listeners: []Listener{a, b}, Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close(t.Context())
	got := r.Addresses()
	if len(got) != 2 || got[0] != path || !strings.HasPrefix(got[1], "127.0.0.1:") || got[1] == b.Address {
		t.Errorf("%q, want %q and a port", got, path)
	}
}
