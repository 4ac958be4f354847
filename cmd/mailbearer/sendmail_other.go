//go:build !unix

package main

import (
	"context"

	"github.com/mailbearer/mailbearer/mail"
)

// enterSpool: here the directory's permissions alone say who may write, and there is no drop folder.
func enterSpool(string) (bool, error) { return true, nil }

func (i *invocation) drop(string, int64, *input) (mail.ID, error) {
	return 0, exitWith(exNoPerm, "the configuration cannot be read by this user: let it read the file, or name another in MAILBEARER_CONFIG")
}

func (s *station) takeDrops(context.Context) {}
