package main

import (
	"context"
	"net"
	"os"
	"strings"
	"time"
)

// loopbackLiteral is what we call ourselves when the machine has no proper name.
const loopbackLiteral = "[127.0.0.1]"

// hostname is the machine's fully qualified name, or an address literal: Exchange Online answers 501 to a bare name.
func hostname(ctx context.Context) string {
	name, err := os.Hostname()
	if err != nil {
		return loopbackLiteral
	}
	if isFQDN(name) {
		return name
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	addresses, _ := net.DefaultResolver.LookupHost(ctx, name)
	for _, a := range addresses {
		full, _ := net.DefaultResolver.LookupAddr(ctx, a)
		for _, f := range full {
			if f = strings.TrimSuffix(f, "."); isFQDN(f) && !strings.HasPrefix(f, "localhost.") {
				return f
			}
		}
	}
	return loopbackLiteral
}

// isFQDN says whether a name is dotted letters, digits and hyphens.
func isFQDN(name string) bool {
	labels := strings.Split(name, ".")
	for _, l := range labels {
		if l == "" || len(l) > 63 || l[0] == '-' || l[len(l)-1] == '-' || strings.ContainsFunc(l, notLDH) {
			return false
		}
	}
	return len(labels) > 1 && len(name) <= 253
}

func notLDH(r rune) bool {
	return !(r == '-' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z')
}
