package main

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/mailbearer/mailbearer/config"
	"github.com/mailbearer/mailbearer/relay"
)

// router returns the function that names a message's account: the first route that matches, else the user's account,
// the listener's, the first of the file.
func router(cfg *config.Config) func(relay.Query) string {
	return func(q relay.Query) string {
		for _, r := range cfg.Routes {
			if matches(r, q) {
				return r.Account
			}
		}
		for _, account := range []string{q.UserAccount, q.ListenerAccount} {
			if account != "" {
				return account
			}
		}
		return cfg.Accounts[0].Name
	}
}

// matches says whether every condition of a route holds.
func matches(r config.Route, q relay.Query) bool {
	return (r.Listener == "" || r.Listener == q.Listener) &&
		(r.User == "" || strings.EqualFold(r.User, q.User)) &&
		(len(r.Client) == 0 || holds(r.Client, q.Client)) &&
		(len(r.Sender) == 0 || r.Sender.Match(q.Sender)) &&
		(len(r.Recipient) == 0 || !slices.ContainsFunc(q.Recipients, func(a string) bool { return !r.Recipient.Match(a) }))
}

func holds(networks []netip.Prefix, a netip.Addr) bool {
	return slices.ContainsFunc(networks, func(n netip.Prefix) bool { return n.Contains(a) })
}
