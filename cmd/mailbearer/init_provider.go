package main

import (
	"fmt"
	"net/mail"
	"regexp"
	"slices"
	"strings"

	"github.com/mailbearer/mailbearer/config"
)

// personal are the providers, beside Microsoft 365, whose steps `init` knows: only people sign in there.
var personal = map[string]string{"outlook.com": "Outlook.com", "google": "Google"}

// publicMail are the domains in which everybody can have a mailbox, by provider; "" where `init` knows no steps. Some
// have one domain for each country, and are known by their first label (countries).
var (
	publicMail = map[string]string{
		"gmail.com": "google", "googlemail.com": "google",
		"outlook.com": "outlook.com", "hotmail.com": "outlook.com", "live.com": "outlook.com", "msn.com": "outlook.com", "passport.com": "outlook.com",
		"yahoo.com": "", "gmx.de": "", "gmx.net": "", "gmx.com": "", "yandex.ru": "", "ymail.com": "", "rocketmail.com": "", "aol.com": "", "icloud.com": "", "me.com": "", "mac.com": "", "web.de": "", "t-online.de": "",
		"mail.com": "", "mail.ru": "", "qq.com": "", "163.com": "", "proton.me": "", "protonmail.com": "", "fastmail.com": "", "zoho.com": "",
	}
	countries = map[string]string{"outlook": "outlook.com", "hotmail": "outlook.com", "live": "outlook.com", "msn": "outlook.com", "yahoo": "", "gmx": "", "yandex": ""}
	country   = regexp.MustCompile(`^([a-z]+)\.(?:com|net|org|[a-z]{2}|(?:co|com|net|org)\.[a-z]{2})$`)
)

// publicMailbox says whose mailbox an address is if everybody can have one there; known is false for a domain of one's own.
func publicMailbox(address string) (provider string, known bool) {
	domain := strings.ToLower(domainOf(address))
	if provider, known = publicMail[domain]; known {
		return provider, true
	}
	if m := country.FindStringSubmatch(domain); m != nil {
		provider, known = countries[m[1]]
	}
	return provider, known
}

// chooseProvider takes the provider from the mailbox's domain where that says it, and refuses what contradicts it: the
// mail server of one provider knows no mailboxes of another.
func (o *initOptions) chooseProvider() error {
	public, known := publicMailbox(o.Mailbox)
	if _, certain := publicMail[strings.ToLower(domainOf(o.Mailbox))]; !certain && o.Provider != "" {
		known = false // of a first label one may know better
	}
	switch {
	case known && public == "":
		return fmt.Errorf("%s is no mailbox of Microsoft 365, Outlook.com or Google, for which init knows the steps: write the configuration by hand, with provider = \"custom\" (docs/tokens.md, config.example.toml)", o.Mailbox)
	case known && o.Provider != "" && o.Provider != public:
		return fmt.Errorf("%s is a mailbox of %s, not of --provider %s: leave --provider out, or correct --mailbox", o.Mailbox, personal[public], o.Provider)
	case known:
		o.Provider = public
	case o.Provider == "":
		o.Provider = "microsoft365"
	}
	if _, ok := clouds[o.Provider]; !ok && personal[o.Provider] == "" {
		return fmt.Errorf("init knows the steps for Microsoft 365, Outlook.com and Google, not for --provider %q: begin with config.example.toml", o.Provider)
	}
	return nil
}

// Personal says whether the mailbox is a person's, who signs in for it: no organization with an administrator.
func (a answers) Personal() bool { return personal[a.Provider] != "" }

// UsesSecret says whether the app has a secret. Google wants one even from an app in which a person signs in.
func (a answers) UsesSecret() bool { return a.Flow == "client-secret" || a.Provider == "google" }

// flows are the ways to sign in that the provider has, the recommended one first.
func (a answers) flows() (words, said []string) {
	for _, f := range flowsSaid {
		if a.offered("keep", f[0]) {
			words, said = append(words, f[0]), append(said, f[1])
		}
	}
	return words, said
}

// ownFroms are the answers to whether devices use a From of their own; a person's mailbox has no right Send As.
func (a answers) ownFroms() []string {
	if a.Personal() {
		return ownFroms[:2]
	}
	return ownFroms
}

// mistaken are answers that the configuration would take, since somebody may know better, and that are typing errors
// here.
func (a answers) mistaken() (found config.Mistakes) {
	say := func(key, text string) { found = append(found, config.Mistake{Key: key, Text: text}) }
	switch {
	case a.Personal() && a.Tenant != "":
		say("account.oauth.tenant", fmt.Sprintf("%s has no tenants: leave --tenant out", personal[a.Provider]))
	case !a.Personal() && a.Tenant != "" && !isTenant(a.Tenant):
		say("account.oauth.tenant", fmt.Sprintf(`%q is no domain of an organization, as "contoso.onmicrosoft.com", and no Directory (tenant) ID, as %s`, a.Tenant, noClientID))
	}
	switch {
	case a.ClientID == "":
	case a.Provider == "google" && !strings.HasSuffix(a.ClientID, googleClients):
		say("account.oauth.client_id", fmt.Sprintf("%q is no client ID of Google: those end in %s", a.ClientID, googleClients))
	case a.Provider != "google" && !isID(a.ClientID):
		say("account.oauth.client_id", notAnID(a.ClientID))
	}
	return found
}

const googleClients = ".apps.googleusercontent.com"

// isID knows the form of Entra's IDs.
func isID(s string) bool { return idForm.MatchString(s) }

var (
	idForm     = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)
	domainForm = regexp.MustCompile(`^(?:[0-9\pL](?:[0-9\pL-]*[0-9\pL])?\.)+[0-9\pL-]{2,}$`)
)

func isTenant(s string) bool { return isID(s) || isShared(s) || domainForm.MatchString(s) }

func notAnID(s string) string {
	return fmt.Sprintf("%q is not an Application (client) ID: Entra shows it on the app's Overview page, in the form %s", s, noClientID)
}

// checkSendAs looks at the addresses that the mailbox is to send as.
func checkSendAs(addresses []string) error {
	for _, address := range addresses {
		if a, err := mail.ParseAddress(address); err != nil || a.Address != address || strings.ContainsAny(address, " \"") {
			return fmt.Errorf("--send-as %q is not an address: write it as in scanner@example.com", address)
		}
	}
	return nil
}

// checkFlow refuses a way to sign in that a personal mailbox does not have.
func (o *initOptions) checkFlow() error {
	if words, _ := o.flows(); o.Personal() && !slices.Contains(words, o.Flow) {
		return fmt.Errorf("--flow %s is not for a mailbox of %s: use %s", o.Flow, personal[o.Provider], strings.Join(words, " or "))
	}
	return nil
}

// checkOwnFrom looks at the answer about senders, which the configuration knows only half of.
func (o *initOptions) checkOwnFrom() error {
	switch {
	case !slices.Contains(ownFroms, o.OwnFrom):
		return fmt.Errorf("--own-from %q is not known: use %s", o.OwnFrom, strings.Join(ownFroms, ", "))
	case !slices.Contains(o.ownFroms(), o.OwnFrom):
		return fmt.Errorf("--own-from %s: a mailbox of %s cannot be given the right to send as others; use no or rewrite", o.OwnFrom, personal[o.Provider])
	case len(o.SendAs) > 0 && o.OwnFrom != "send-as":
		return fmt.Errorf("--send-as is for --own-from send-as, not for --own-from %s: leave one of them out", o.OwnFrom)
	}
	return checkSendAs(o.SendAs)
}
