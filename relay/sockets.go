package relay

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

// Kinds of addresses other than host:port.
const (
	unixPrefix    = "unix:"
	systemdPrefix = "systemd:"
)

// listen binds one address and says in words why it cannot.
func listen(address string) (net.Listener, error) {
	if name, ok := strings.CutPrefix(address, systemdPrefix); ok {
		return passedListener(name, os.Getenv, os.Getpid(), os.NewFile)
	}
	network := "tcp"
	if path, ok := strings.CutPrefix(address, unixPrefix); ok {
		network, address = "unix", path
		removeStaleSocket(path)
	}
	l, err := net.Listen(network, address)
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %s: %w; is another mail server using it? Change `address` in [[listener]], or stop that server", address, err)
	}
	if network == "unix" {
		if err := os.Chmod(address, 0o660); err != nil {
			l.Close()
			return nil, err
		}
	}
	return l, nil
}

// removeStaleSocket takes away a socket that a killed relay left: nobody answers there.
func removeStaleSocket(path string) {
	if c, err := net.DialTimeout("unix", path, time.Second); err == nil {
		c.Close()
		return
	}
	if info, err := os.Lstat(path); err == nil && info.Mode()&os.ModeSocket != 0 {
		os.Remove(path)
	}
}

// firstPassed is the first descriptor that systemd passes (sd_listen_fds(3)).
const firstPassed = 3

// passedListener takes a socket that systemd has opened for us, so that a port below 1024 needs no root and a restart
// loses no connection.
func passedListener(name string, getenv func(string) string, pid int, open func(fd uintptr, name string) *os.File) (net.Listener, error) {
	i, err := passedIndex(name, getenv, pid)
	if err != nil {
		return nil, err
	}
	f := open(uintptr(firstPassed+i), name)
	if f == nil {
		return nil, fmt.Errorf("systemd's socket %q is not open", name)
	}
	defer f.Close() // the listener has a copy
	l, err := net.FileListener(f)
	if err != nil {
		return nil, fmt.Errorf("systemd's socket %q is not one to listen on: %w", name, err)
	}
	return l, nil
}

// passedIndex finds the socket of that name among those passed to this very process.
func passedIndex(name string, getenv func(string) string, pid int) (int, error) {
	n, err := strconv.Atoi(getenv("LISTEN_FDS"))
	if err != nil || n < 1 || getenv("LISTEN_PID") != strconv.Itoa(pid) {
		return 0, fmt.Errorf("systemd has passed no sockets: `address = \"systemd:%s\"` needs a socket unit that starts this service", name)
	}
	names := strings.Split(getenv("LISTEN_FDNAMES"), ":")
	for i, have := range names[:min(n, len(names))] {
		if have == name {
			return i, nil
		}
	}
	return 0, fmt.Errorf("systemd has passed no socket named %q, but %s: set FileDescriptorName=%s in the socket unit", name, strings.Join(names, ", "), name)
}
