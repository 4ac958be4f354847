package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/crypto/bcrypt"
)

func newHashPassword(e *env) *cobra.Command {
	return &cobra.Command{
		Use:   "hash-password",
		Short: "Make the password_hash of a [[user]] from a prompt or standard input",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			password, err := readPassword(e, newPrompts(c.Context(), e.stdin))
			if err != nil {
				return err
			}
			hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.DefaultCost)
			if errors.Is(err, bcrypt.ErrPasswordTooLong) {
				return errors.New("the password is longer than 72 bytes, more than bcrypt can tell apart: choose a shorter one")
			}
			if err != nil {
				return err
			}
			fmt.Fprintln(e.stdout, string(hash))
			return nil
		},
	}
}

// readPassword asks without echo on a terminal, and reads one line anywhere else.
func readPassword(e *env, in *prompts) (password string, err error) {
	if fd, ok := in.terminal(); ok {
		fmt.Fprint(e.stderr, "Password: ")
		password, err = in.hidden(fd)
		fmt.Fprintln(e.stderr)
	} else if password, err = in.line(); err == io.EOF {
		err = nil
	}
	if err != nil {
		return "", err
	}
	if password = strings.TrimRight(password, "\r\n"); password == "" {
		return "", errors.New("no password was given: type one, or pass it on standard input")
	}
	return password, nil
}
