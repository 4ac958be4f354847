package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/mattn/go-isatty"
	"github.com/spf13/cobra"
	"golang.org/x/crypto/bcrypt"
	"golang.org/x/term"
)

func newHashPassword(e *env) *cobra.Command {
	return &cobra.Command{
		Use:   "hash-password",
		Short: "Make the password_hash of a [[user]] from a prompt or standard input",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			password, err := readPassword(e)
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
func readPassword(e *env) (string, error) {
	var password string
	if f, ok := e.stdin.(*os.File); ok && isatty.IsTerminal(f.Fd()) {
		fmt.Fprint(e.stderr, "Password: ")
		p, err := term.ReadPassword(int(f.Fd()))
		fmt.Fprintln(e.stderr)
		if err != nil {
			return "", err
		}
		password = string(p)
	} else {
		line, err := bufio.NewReader(e.stdin).ReadString('\n')
		if err != nil && err != io.EOF {
			return "", err
		}
		password = strings.TrimRight(line, "\r\n")
	}
	if password == "" {
		return "", errors.New("no password was given: type one, or pass it on standard input")
	}
	return password, nil
}
