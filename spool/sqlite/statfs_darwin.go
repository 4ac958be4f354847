package sqlite

import "strings"

// fileSystem says whether a directory is on a network file system, and on which.
func fileSystem(dir string) (kind string, network bool) {
	st, ok := statfs(dir)
	if !ok {
		return "", false
	}
	var name []byte
	for _, c := range st.Fstypename {
		if c == 0 {
			break
		}
		name = append(name, byte(c))
	}
	kind = string(name)
	switch {
	case kind == "nfs", kind == "smbfs", kind == "afpfs", kind == "webdav", kind == "ftp", strings.Contains(kind, "fuse"):
		return kind, true
	}
	return kind, false
}
