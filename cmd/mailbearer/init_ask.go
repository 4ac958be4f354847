package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// ask completes the answers: by asking, or by taking the defaults.
func (o *initOptions) ask(e *env, in *prompts, path string) error {
	var err error
	if o.DataDir, err = chooseDataDir(o.DataDir, path); err != nil {
		return err
	}
	if o.SecretFile == "" {
		o.SecretFile = filepath.Join(filepath.Dir(path), o.Account+".secret")
	}
	if o.SecretFile, err = filepath.Abs(o.SecretFile); err != nil {
		return err
	}
	if o.silent {
		return o.defaults()
	}
	return (&interview{e: e, in: in, o: o}).run()
}

// defaults takes what a person would get by pressing Enter, and reports what is wrong with the flags.
func (o *initOptions) defaults() error {
	if o.Mailbox == "" {
		return errors.New("which mailbox is to send? Give it with --mailbox ADDRESS")
	}
	if err := o.chooseProvider(); err != nil {
		return err
	}
	if o.Tenant == "" && !o.Personal() {
		o.Tenant = domainOf(o.Mailbox)
	}
	if words, _ := o.flows(); o.Flow == "" {
		o.Flow = words[0]
	}
	if o.OwnFrom == "" {
		o.OwnFrom = "no"
	}
	return o.check()
}

// check holds the answers against the configuration's own rules.
func (o *initOptions) check() error {
	if err := errors.Join(o.checkFlow(), o.checkOwnFrom()); err != nil {
		return err
	}
	if p := o.problem(); p != "" {
		return errors.New(p)
	}
	return nil
}

func domainOf(address string) string { return address[strings.LastIndexByte(address, '@')+1:] }

// interview asks on a terminal, or whatever standard input is.
type interview struct {
	e  *env
	in *prompts
	o  *initOptions
}

func (v *interview) run() error {
	o := v.o
	fmt.Fprint(v.e.stdout, "A few questions. Enter takes what stands in [brackets].\n")
	for _, step := range []func() error{
		func() error {
			return v.text(&o.Mailbox, "Which mailbox is to send? Its address", "", "--mailbox", "account.mailbox")
		},
		v.provider,
		func() error {
			if o.Personal() {
				return nil
			}
			return v.text(&o.Tenant, "Your organization at Microsoft: a domain of it, or its Directory (tenant) ID", domainOf(o.Mailbox), "--tenant", "account.oauth.tenant")
		},
		v.flow, v.clientID, v.secret, v.networks, v.ownFrom,
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return o.check()
}

// line asks once.
func (v *interview) line(question, preset, flag string) (string, error) {
	fmt.Fprintf(v.e.stdout, "\n%s", question)
	if preset != "" {
		fmt.Fprintf(v.e.stdout, " [%s]", preset)
	}
	fmt.Fprint(v.e.stdout, ": ")
	text, err := v.in.line()
	text = strings.TrimSpace(text)
	switch {
	case err != nil && err != io.EOF:
		return "", err
	case err == io.EOF && text == "":
		fmt.Fprintln(v.e.stdout)
		return "", fmt.Errorf("nobody answered: give the answer with %s, or use --non-interactive to take the defaults", flag)
	case text == "":
		return preset, nil
	}
	return text, nil
}

// text asks until the configuration is content with the answer.
func (v *interview) text(to *string, question, preset, flag, key string) error {
	for *to == "" || v.o.problem(key) != "" {
		if *to != "" {
			fmt.Fprintf(v.e.stdout, "  %s\n", v.o.problem(key))
		}
		var err error
		if *to, err = v.line(question, preset, flag); err != nil {
			return err
		}
	}
	return nil
}

// choice asks for one of several, by number or word.
func (v *interview) choice(to *string, question, flag string, words, said []string) error {
	if *to != "" {
		return nil // given by a flag, and checked at the end
	}
	for i, text := range said {
		question += fmt.Sprintf("\n  %d  %s", i+1, text)
	}
	for {
		answer, err := v.line(question+"\nNumber", "1", flag)
		if err != nil {
			return err
		}
		if n, err := strconv.Atoi(answer); err == nil && n >= 1 && n <= len(words) {
			*to = words[n-1]
			return nil
		}
		if slices.Contains(words, answer) {
			*to = answer
			return nil
		}
		fmt.Fprintf(v.e.stdout, "  %q is none of them: type a number from 1 to %d\n", answer, len(words))
	}
}

// flowsSaid are the ways to sign in that are offered where this version has them.
var flowsSaid = [][2]string{
	{"client-certificate", "with a certificate that is made here (recommended: nothing secret leaves this machine)"},
	{"client-secret", "with a secret that is made in Entra (simpler, but it expires and can be copied)"},
	{"device-code", "a person signs in once as the mailbox, with a code on any computer"},
	{"browser", "a person signs in once as the mailbox, in a browser"},
}

// provider says what the mailbox's domain tells, and asks nothing.
func (v *interview) provider() error {
	if err := v.o.chooseProvider(); err != nil {
		return err
	}
	if v.o.Personal() {
		fmt.Fprintf(v.e.stdout, "  That is a mailbox of %s, so: provider = %q. A person signs in for it.\n", personal[v.o.Provider], v.o.Provider)
	}
	return nil
}

func (v *interview) flow() error {
	words, said := v.o.flows()
	if len(words) == 1 && v.o.Flow == "" {
		v.o.Flow = words[0]
	}
	return v.choice(&v.o.Flow, "How is the relay to sign in?", "--flow", words, said)
}

func (v *interview) clientID() error {
	const later, key = "later", "account.oauth.client_id"
	question := "The app's Application (client) ID, if it is registered already"
	if v.o.Provider == "google" {
		question = "The app's client ID (" + googleClients + "), if it is registered already"
	}
	id := v.o.ClientID
	for id == "" || v.o.problem(key) != "" {
		if id != "" {
			fmt.Fprintf(v.e.stdout, "  %s\n", v.o.problem(key))
		}
		var err error
		if id, err = v.line(question, later, "--client-id"); err != nil {
			return err
		}
		if v.o.ClientID = id; id == later {
			v.o.ClientID = ""
		}
	}
	return nil
}

// secret asks for the secret without showing it. On a terminal only: what is piped in may be logged.
func (v *interview) secret() error {
	fd, ok := v.in.terminal()
	if _, err := os.Stat(v.o.SecretFile); !v.o.UsesSecret() || err == nil || !ok {
		return nil
	}
	fmt.Fprint(v.e.stdout, "\nThe app's secret (in Entra its Value), which is not shown here (Enter: later): ")
	secret, err := v.in.hidden(fd)
	fmt.Fprintln(v.e.stdout)
	v.o.secret = strings.TrimSpace(secret)
	return err
}

func (v *interview) networks() error {
	if len(v.o.Networks) > 0 {
		return nil
	}
	var where string
	err := v.choice(&where, "Who sends through the relay?", "--network", []string{"here", "network"},
		[]string{"only programs on this machine", "devices on the network too: printers, scanners, other servers"})
	if err != nil || where == "here" {
		return err
	}
	for {
		text, err := v.line("Their network, or several with spaces between", ownNetwork(), "--network")
		if err != nil {
			return err
		}
		v.o.Networks = separate(text)
		p := v.o.problem("listener.allow")
		if p == "" && len(v.o.Networks) > 0 {
			return nil
		}
		fmt.Fprintf(v.e.stdout, "  %s\n", p)
	}
}

func (v *interview) ownFrom() error {
	words := v.o.ownFroms()
	err := v.choice(&v.o.OwnFrom, "Do devices send with addresses of their own (as scanner2@example.com) instead of the mailbox's?", "--own-from", words,
		[]string{
			"no, or they can be set to the mailbox's address",
			"yes: put the mailbox's address in their place, and answers still go to the old one",
			"yes, and the mailbox gets the right to send as each of them (Send As)",
		}[:len(words)])
	if err != nil || v.o.OwnFrom != "send-as" || len(v.o.SendAs) > 0 {
		return err
	}
	const later = "later"
	for {
		text, err := v.line("Which addresses? Several with spaces between", later, "--send-as")
		if err != nil || text == later {
			return err
		}
		v.o.SendAs = separate(text)
		problem := checkSendAs(v.o.SendAs)
		if problem == nil {
			return nil
		}
		fmt.Fprintf(v.e.stdout, "  %s\n", strings.TrimPrefix(problem.Error(), "--send-as "))
	}
}

// separate takes several answers in one line apart.
func separate(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == ' ' || r == ',' })
}

// ownNetwork guesses: the first private network of this machine.
func ownNetwork() string {
	addresses, _ := net.InterfaceAddrs()
	for _, a := range addresses {
		if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().Is4() && p.Addr().IsPrivate() {
			return p.Masked().String()
		}
	}
	return "192.168.1.0/24"
}
