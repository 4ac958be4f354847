package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/mailbearer/mailbearer/mail"
	"github.com/mailbearer/mailbearer/spool"
)

// small mounts a small file system for the length of a test; a machine that does not let us skips.
func small(t *testing.T, kind string) string {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("only root can mount a small file system")
	}
	dir := filepath.Join(t.TempDir(), "small")
	check(t, os.Mkdir(dir, dirMode))
	var err error
	if kind == "tmpfs" {
		err = syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=24m")
	} else {
		err = mountImage(t, dir)
	}
	if err != nil {
		t.Skipf("cannot mount %s here: %v", kind, err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// mountImage mounts an ext4 image on a loop device, which the kernel frees with the mount.
func mountImage(t *testing.T, dir string) error {
	image := filepath.Join(t.TempDir(), "image")
	check(t, os.WriteFile(image, nil, fileMode))
	check(t, os.Truncate(image, 32<<20))
	for _, command := range [][]string{{"mkfs.ext4", "-q", "-F", "-m", "0", image}, {"mount", "-o", "loop", image, dir}} {
		if out, err := exec.Command(command[0], command[1:]...).CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w: %s", command[0], err, out)
		}
	}
	return nil
}

// A disk that is really full, once because of the queue alone, which must still be sent then, and once to the last
// octet because of somebody else, when nothing can be done but to lose nothing and go on by itself afterwards.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"tmpfs", "ext4"} {
		for _, reserve := range []int64{0, -1} {
			t.Run(fmt.Sprintf("%s, reserve %d", kind, reserve), func(t *testing.T) {
				t.Parallel()
				fullDisk(t, Options{Dir: small(t, kind), Owner: true, Reserve: reserve})
			})
		}
	}
}

func fullDisk(t *testing.T, opt Options) {
	s := openTest(t, opt)
	room := filepath.Join(opt.Dir, "room") // what will be freed
	check(t, os.WriteFile(room, make([]byte, 4<<20), fileMode))
	accepted := fill(t, s)
	t.Logf("%d messages fit", len(accepted))
	if opt.Reserve == 0 {
		deliver(t, s, accepted, 5)
	}
	ballast := filepath.Join(opt.Dir, "ballast")
	fillUp(t, ballast)
	for _, size := range []int{10, 4096, spool.InlineLimit + 1} {
		env, err := tryPut(s, size)
		if err == nil {
			accepted[env.ID] = size // the log had room
			continue
		}
		wantNothing(t, s, env.ID)
		if !errors.Is(err, spool.ErrDiskFull) {
			t.Errorf("Put of %d octets: %v", size, err)
		}
	}
	claimed, _, err := s.Claim(t.Context(), claimOne())
	if err != nil && !errors.Is(err, spool.ErrDiskFull) {
		t.Errorf("Claim: %v", err)
	}
	check(t, os.Remove(ballast))
	check(t, os.Remove(room))
	syncFS(t, opt.Dir)
	for _, c := range claimed {
		check(t, s.Return(t.Context(), c.Envelope.ID))
	}
	deliver(t, s, accepted, 20)
	for range 3 {
		env, err := tryPut(s, 4096)
		check(t, err)
		accepted[env.ID] = 4096
	}
	check(t, s.Close())
	s = openTest(t, opt)
	wantAll(t, s, accepted)
	deliver(t, s, accepted, len(accepted))
	wantFiles(t, s, 0)
}

// syncFS makes ext4 give freed blocks back now; by itself it does so within seconds.
func syncFS(t *testing.T, dir string) {
	t.Helper()
	d, err := os.Open(dir)
	check(t, err)
	defer d.Close()
	check(t, unix.Syncfs(int(d.Fd())))
}

// fill puts mail of all sizes from several goroutines until the disk is full for each, and says what was accepted.
func fill(t *testing.T, s *Spool) map[mail.ID]int {
	t.Helper()
	accepted := map[mail.ID]int{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for _, size := range []int{100, 4096, 100 << 10, spool.InlineLimit + 1, 1 << 20} {
		wg.Go(func() {
			for range 5000 {
				env, err := tryPut(s, size)
				if err != nil {
					wantNothing(t, s, env.ID)
					if !errors.Is(err, spool.ErrDiskFull) {
						t.Errorf("Put of %d octets: %v", size, err)
					}
					return
				}
				mu.Lock()
				accepted[env.ID] = size
				mu.Unlock()
			}
			t.Errorf("the disk did not fill with texts of %d octets", size)
		})
	}
	wg.Wait()
	return accepted
}

// fillUp uses up the disk to the last octet.
func fillUp(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	check(t, err)
	defer f.Close()
	for _, step := range []int{1 << 20, 64 << 10, 4096, 1} {
		for err = nil; err == nil; {
			_, err = f.Write(make([]byte, step))
		}
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	_ = f.Sync()
}

// deliver sends n messages, and looks at their texts.
func deliver(t *testing.T, s *Spool, accepted map[mail.ID]int, n int) {
	t.Helper()
	for ; n > 0; n-- {
		claimed, _, err := s.Claim(context.Background(), claimOne())
		check(t, err)
		if len(claimed) == 0 {
			return
		}
		id := claimed[0].Envelope.ID
		wantText(t, s, id, accepted[id])
		settleAs(t, s, id, mail.Delivered)
		delete(accepted, id)
	}
}

// wantAll fails unless exactly what was accepted is in the queue.
func wantAll(t *testing.T, s *Spool, accepted map[mail.ID]int) {
	t.Helper()
	list, err := s.List(context.Background(), spool.Filter{})
	check(t, err)
	long := 0
	for _, m := range list {
		size, ok := accepted[m.Envelope.ID]
		if !ok {
			t.Errorf("%s is there and was not accepted", m.Envelope.ID)
		}
		if size > spool.InlineLimit {
			long++
		}
	}
	if len(list) != len(accepted) {
		t.Errorf("%d messages are there, %d were accepted", len(list), len(accepted))
	}
	wantFiles(t, s, long)
}

// A disk that is mounted read-only says so, whoever opens the spool and whether the mount or its file system is closed,
// and nobody is told of permissions or of SQLite's numbers.
func TestReadOnlyDisk(t *testing.T) {
	t.Parallel()
	for name, flags := range map[string]uintptr{"file system": syscall.MS_REMOUNT, "bind mount": syscall.MS_REMOUNT | syscall.MS_BIND} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := small(t, "tmpfs")
			s := openTest(t, Options{Dir: dir, Owner: true})
			put(t, s, 10, false)
			check(t, s.Close())
			check(t, syscall.Mount("", dir, "", flags|syscall.MS_RDONLY, ""))
			for _, opt := range []Options{
				{Dir: dir, Owner: true}, {Dir: filepath.Join(dir, "new"), Owner: true}, {Dir: dir}, {Dir: dir, Create: true},
			} {
				_, err := Open(t.Context(), opt)
				if err == nil || !strings.Contains(err.Error(), "mounted read-only") || !strings.Contains(err.Error(), dir) {
					t.Errorf("got %v", err)
					continue
				}
				if strings.Contains(err.Error(), "may not write") || strings.Contains(err.Error(), "(14)") {
					t.Errorf("it says more than it knows: %v", err)
				}
			}
		})
	}
}

// A directory that belongs to another user says who that is.
func TestForeignDirectory(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can become somebody else")
	}
	dir := t.TempDir()
	check(t, owner(t, dir).Close())
	check(t, os.Chmod(dir, dirMode))
	for _, opt := range []Options{{Dir: dir, Owner: true}, {Dir: dir}, {Dir: filepath.Join(dir, "new"), Owner: true}} {
		err := asNobody(func() error { _, err := Open(t.Context(), opt); return err })
		if err == nil || !strings.Contains(err.Error(), "may not write there") || !strings.Contains(err.Error(), "(root)") {
			t.Errorf("got %v", err)
		}
	}
}

// asNobody lets a function touch files with the rights of another user, on a thread that ends with it.
func asNobody(f func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		_ = syscall.Setfsgid(65534)
		_ = syscall.Setfsuid(65534)
		done <- f()
	}()
	return <-done
}
