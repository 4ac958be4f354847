//go:build unix && !linux && !darwin

package sqlite

// On other systems nobody is asked: a full disk is noticed when it is full.

func freeSpace(string) (free, total int64, known bool) { return 0, 0, false }

func readOnly(string) bool { return false }

func fileSystem(string) (kind string, network bool) { return "", false }
