package sqlite

// networkTypes are the file systems that other machines may write at the same time, or that stand for one that is
// elsewhere (statfs(2), f_type). FUSE may be local, but nobody can tell, and most are not.
var networkTypes = map[uint32]string{
	0x00006969: "NFS",
	0x0000517b: "SMB",
	0xff534d42: "CIFS",
	0xfe534d42: "SMB2",
	0x01021997: "9p",
	0x65735546: "FUSE",
	0x5346414f: "AFS",
	0x6b414653: "AFS",
	0x00c36400: "Ceph",
	0x73757245: "Coda",
	0x0000564c: "NCP",
	0x0bd00bd0: "Lustre",
	0x47504653: "GPFS",
	0x786f4256: "VirtualBox shared folder",
	0xbacbacbc: "VMware shared folder",
}

// fileSystem says whether a directory is on a network file system, and on which.
func fileSystem(dir string) (kind string, network bool) {
	st, ok := statfs(dir)
	if !ok {
		return "", false
	}
	kind, network = networkTypes[uint32(st.Type)]
	return kind, network
}
