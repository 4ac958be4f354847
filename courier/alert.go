package courier

import (
	"fmt"
	"strings"

	"github.com/mailbearer/mailbearer/mail"
	"github.com/mailbearer/mailbearer/report"
	"github.com/mailbearer/mailbearer/spool"
)

// heldAlert tells that an account cannot send.
func heldAlert(account, mailbox string, t *mail.Trouble) report.Alert {
	return report.Alert{
		Kind: report.AlertHeld, Account: account, Key: trouble(t),
		Title: fmt.Sprintf("The account %s cannot send: %s", account, t.Cause),
		Text: fmt.Sprintf("Mail for the mailbox %s waits on disk and nothing is lost. It flows again by itself.\n%s",
			mailbox, said(t.Reply.String())),
		Fix: t.Fix,
	}
}

// wellAlert tells that it can again.
func wellAlert(account string) report.Alert {
	return report.Alert{Kind: report.AlertWell, Account: account, Title: "The account " + account + " can send again"}
}

// trouble names a trouble without the particulars that differ each time, which causes of the network have in brackets.
func trouble(t *mail.Trouble) string {
	cause, _, _ := strings.Cut(t.Cause, " (")
	return string(t.Kind) + ": " + cause
}

// failedAlert tells that a message was given up for some of its recipients.
func failedAlert(m spool.Message, told []report.Recipient) report.Alert {
	a := report.Alert{
		Kind: report.AlertFailed, Account: m.Envelope.Account, IDs: []mail.ID{m.Envelope.ID},
		Title: fmt.Sprintf("A message from %s could not be delivered", orNobody(m.Envelope.Sender)),
	}
	var text strings.Builder
	for _, r := range told {
		fmt.Fprintf(&text, "%s: %s\n%s", m.Envelope.Recipients[r.Index].Address, r.Outcome.Cause, said(r.Outcome.Reply.String()))
		a.Key, a.Fix = r.Outcome.Cause, r.Outcome.Fix
		if text.Len() > 2000 {
			fmt.Fprintf(&text, "and others: `mailbearer queue show %s` has them all\n", m.Envelope.ID)
			break
		}
	}
	a.Text = text.String()
	return a
}

func said(reply string) string {
	if reply == "" {
		return ""
	}
	return "The provider said: " + reply + "\n"
}

func orNobody(sender string) string {
	if sender == "" {
		return "the null sender"
	}
	return sender
}
