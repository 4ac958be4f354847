package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"text/tabwriter"

	"github.com/mailbearer/mailbearer/config"
	"github.com/mailbearer/mailbearer/mail"
	"github.com/mailbearer/mailbearer/spool"
	"github.com/mailbearer/mailbearer/spool/sqlite"
)

// queuePage is how many messages are in memory at once: a queue may hold a million.
const queuePage = 1000

// eachPage hands out the messages that a filter lets through, oldest first.
func eachPage(ctx context.Context, sp *sqlite.Spool, f spool.Filter, do func([]spool.Message) error) error {
	f.Limit = queuePage
	for {
		page, err := sp.List(ctx, f)
		if err == nil && len(page) > 0 {
			err = do(page)
		}
		if err != nil || len(page) < queuePage {
			return err
		}
		f.After = page[len(page)-1].Envelope.ID
	}
}

// listing prints messages as they come, for people or as one JSON array.
type listing struct {
	w     io.Writer
	json  bool
	empty string // said to people when there are none
	count int
	waits map[string]messageView // one for each account that is held
}

// listQueue prints the messages that a filter lets through, each with what it waits for.
func (l *listing) listQueue(ctx context.Context, cfg *config.Config, sp *sqlite.Spool, f spool.Filter) error {
	l.waits = make(map[string]messageView)
	if sp != nil {
		accounts, err := sp.Accounts(ctx)
		if err != nil {
			return err
		}
		if err := eachPage(ctx, sp, f, func(page []spool.Message) error { return l.page(cfg, accounts, page) }); err != nil {
			return err
		}
	}
	return l.end()
}

// page prints some of them.
func (l *listing) page(cfg *config.Config, accounts map[string]mail.Account, page []spool.Message) error {
	var text bytes.Buffer
	t := tabwriter.NewWriter(&text, 0, 8, 2, ' ', 0)
	if l.count == 0 && !l.json {
		fmt.Fprintln(t, "ID\tSTATE\tACCOUNT\tRECEIVED\tSIZE\tTRIES\tNEXT\tSENDER\tRECIPIENTS\tLAST REPLY")
	}
	for _, m := range page {
		v := viewMessage(m, standing(cfg, accounts, m.Envelope.Account))
		if v.AccountReason != "" {
			l.waits[v.Account] = v
		}
		if l.json {
			if err := l.element(&text, v); err != nil {
				return err
			}
		} else {
			v.row(t)
		}
		l.count++
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := l.w.Write(text.Bytes())
	return err
}

// element is one of the array, indented as writeJSON does it.
func (l *listing) element(w *bytes.Buffer, v messageView) error {
	w.WriteString(map[bool]string{true: "[\n  ", false: ",\n  "}[l.count == 0])
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("  ", "  ")
	err := enc.Encode(v)
	w.Truncate(w.Len() - 1) // its newline
	return err
}

// end closes the array, or says why mail waits.
func (l *listing) end() error {
	var err error
	switch {
	case l.json && l.count == 0:
		_, err = fmt.Fprintln(l.w, "[]")
	case l.json:
		_, err = fmt.Fprintln(l.w, "\n]")
	case l.count == 0:
		_, err = fmt.Fprintln(l.w, l.empty)
	default:
		for _, name := range slices.Sorted(maps.Keys(l.waits)) {
			fmt.Fprintln(l.w)
			l.waits[name].printAccount(l.w)
		}
	}
	return err
}

// row is a message as one line of the table.
func (v messageView) row(w io.Writer) {
	fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\t%d\t%s\t<%s>\t%s\t%s\n", v.ID, v.State, v.Account, clock(v.Received), v.Size,
		v.Attempts, v.next(), v.Sender, v.summary(), safe(v.LastReply))
}
