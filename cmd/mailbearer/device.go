package main

import (
	"context"
	"encoding/base64"
	"fmt"
	"net"
	"net/textproto"
	"time"
)

// demoMessage is what a scanner writes: dots at line starts, 8-bit text and a long line included, since those are what
// relays break.
func demoMessage(now time.Time) []byte {
	return fmt.Appendf(nil, "From: Scanner in the hall <%s>\r\nTo: <%s>\r\nSubject: Scan of two pages\r\n"+
		"Date: %s\r\nMessage-ID: <%d.scanner@contoso.example>\r\nMIME-Version: 1.0\r\n"+
		"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"+
		"Grüße vom Scanner.\r\n.\r\n..a line that begins with dots\r\n%s\r\nThe end.\r\n",
		demoMailbox, demoRecipient, now.Format(time.RFC1123Z), now.UnixNano(),
		"a long line: "+string(make900()))
}

func make900() []byte {
	line := make([]byte, 900)
	for i := range line {
		line[i] = 'a' + byte(i%26)
	}
	return line
}

// deviceSend speaks SMTP as old devices do: no TLS, AUTH LOGIN, one command at a time. It returns the final reply.
func deviceSend(ctx context.Context, address string, message []byte) (string, error) {
	var d net.Dialer
	nc, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return "", err
	}
	defer nc.Close()
	if by, ok := ctx.Deadline(); ok {
		nc.SetDeadline(by)
	}
	c := textproto.NewConn(nc)
	b64 := base64.StdEncoding.EncodeToString
	for _, step := range []struct {
		line string
		code int
	}{
		{"", 220}, {"EHLO scanner", 250}, {"AUTH LOGIN", 334}, {b64([]byte(demoUser)), 334}, {b64([]byte(demoPassword)), 235},
		{"MAIL FROM:<" + demoMailbox + ">", 250}, {"RCPT TO:<" + demoRecipient + ">", 250}, {"DATA", 354},
	} {
		if step.line != "" {
			if err := c.PrintfLine("%s", step.line); err != nil {
				return "", err
			}
		}
		if _, _, err := c.ReadResponse(step.code); err != nil {
			return "", err
		}
	}
	w := c.DotWriter()
	if _, err := w.Write(message); err != nil {
		return "", err
	}
	if err := w.Close(); err != nil {
		return "", err
	}
	code, text, err := c.ReadResponse(250)
	if err != nil {
		return "", err
	}
	c.PrintfLine("QUIT")
	return fmt.Sprintf("%d %s", code, text), nil
}
