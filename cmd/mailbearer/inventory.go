package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/mailbearer/mailbearer/config"
	"github.com/mailbearer/mailbearer/mail"
	"github.com/mailbearer/mailbearer/relay"
	"github.com/mailbearer/mailbearer/spool/sqlite"
)

// inventoryEvery is how often visits are written down: a device that connects for each page must not cost a write each.
const inventoryEvery = 2 * time.Second

// inventory gathers who connects until it is written to the spool.
type inventory struct {
	mu     sync.Mutex
	visits map[string]mail.Visit
}

// seen takes note of a connection that has ended.
func (i *inventory) seen(v relay.Visit) {
	visit := mail.Visit{
		Listener: v.Listener, User: v.User, Name: v.HELO, TLS: v.TLS, Mechanism: v.Mechanism,
		First: v.Began.UTC(), Last: v.Ended.UTC(), LastSent: utc(v.LastSent), Count: 1, Accepted: v.Accepted, Refused: v.Refused, Failures: v.Failures,
		Repairs: v.Repairs, Trouble: v.Trouble,
	}
	if v.Address.IsValid() {
		visit.Address = v.Address.String()
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.visits == nil {
		i.visits = make(map[string]mail.Visit)
	}
	known := i.visits[visit.Key()]
	known.Add(visit)
	i.visits[visit.Key()] = known
}

// take hands out what was gathered.
func (i *inventory) take() []mail.Visit {
	i.mu.Lock()
	defer i.mu.Unlock()
	list := slices.Collect(maps.Values(i.visits))
	i.visits = nil
	return list
}

// keepInventory writes visits down until ctx ends, and once more then.
func (s *station) keepInventory(ctx context.Context) {
	tick := time.NewTicker(inventoryEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			s.writeInventory()
			return
		case <-tick.C:
			s.writeInventory()
		}
	}
}

func (s *station) writeInventory() {
	visits := s.inventory.take()
	if len(visits) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := s.spool.Saw(ctx, visits); err != nil {
		s.log.Warn().Err(err).Msg("the inventory of clients could not be written; these visits are missing in it")
	}
}

// showClients prints the inventory.
func showClients(ctx context.Context, e *env, asJSON bool) error {
	clients := []mail.Visit{}
	err := withSpool(ctx, e, func(_ *config.Config, sp *sqlite.Spool) error {
		if sp == nil {
			return nil
		}
		list, err := sp.Clients(ctx)
		clients = append(clients, list...)
		return err
	})
	switch {
	case err != nil:
		return err
	case asJSON:
		return writeJSON(e.stdout, clients)
	case len(clients) == 0:
		fmt.Fprintln(e.stdout, "Nobody has connected yet.")
		return nil
	}
	return printClients(e.stdout, clients)
}

func printClients(w io.Writer, clients []mail.Visit) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "ADDRESS\tHELO\tLISTENER\tUSER\tSIGN-IN\tTLS\tLAST SEEN\tLAST MESSAGE\tCONNECTIONS\tMESSAGES\tREFUSED\tREPAIRS")
	for _, c := range clients {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%d\t%d\t%d\t%s\n", dash(c.Address), dash(safe(c.Name)), dash(c.Listener), dash(c.User),
			dash(c.Mechanism), dash(c.TLS), clock(c.Last), clock(c.LastSent), c.Count, c.Accepted, c.Refused+c.Failures, dash(repairs(c.Repairs)))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, c := range clients {
		if c.Trouble != "" {
			fmt.Fprintf(w, "\n%s (%s): %s\n", dash(c.Address), dash(safe(c.Name)), safe(c.Trouble))
		}
	}
	return nil
}

func repairs(counts map[string]int) string {
	var list []string
	for _, what := range slices.Sorted(maps.Keys(counts)) {
		list = append(list, fmt.Sprintf("%s ×%d", what, counts[what]))
	}
	return strings.Join(list, ", ")
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
