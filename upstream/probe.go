package upstream

import (
	"context"
	"crypto/tls"
	"strings"

	"github.com/mailbearer/mailbearer/mail"
)

// Stage names a part of the way to a connection that is signed in.
type Stage string

// The stages of Probe, in the order it goes through them. With TLS from the start (port 465), StageTLS comes before
// StageGreeting, and there is one EHLO instead of two.
const (
	StageConnect  Stage = "connect"
	StageGreeting Stage = "greeting"
	StageEHLO     Stage = "ehlo"
	StageTLS      Stage = "tls" // STARTTLS, handshake and verification
	StageAuth     Stage = "auth"
)

// Step is what came of one stage.
type Step struct {
	Stage   Stage
	Reply   mail.Reply           // the server's last words in it; Code 0 when it said none
	TLS     *tls.ConnectionState // after StageTLS
	Offers  []string             // after StageEHLO: the sign-in mechanisms on offer
	Trouble *mail.Trouble        // nil when it passed
	Said    string               // the server's words, or those of the error that there were instead; without secrets
	Err     error                // the error itself, for errors.As
}

// Probe goes the way to a connection that is signed in and back, and tells observe what came of each stage: connection,
// greeting, EHLO, STARTTLS, EHLO again, AUTH, QUIT. It uses the code that messages use, on one connection of its own, and
// sends none. The token is asked for when AUTH is reached, once: a refused one is not renewed.
//
// It returns the trouble that ended it, or nil. What o says of limits and idle connections does not matter to it.
func Probe(ctx context.Context, o Options, observe func(Step)) *mail.Trouble {
	s := NewSMTP(o)
	defer s.Close()
	c, err := s.dial(ctx)
	if err != nil {
		return s.report(ctx, Step{Stage: StageConnect, Err: err}, observe)
	}
	defer c.cut()
	defer context.AfterFunc(ctx, c.cut)()
	s.report(ctx, Step{Stage: StageConnect}, observe)
	for _, part := range s.parts(ctx, c) {
		step := Step{Stage: part.stage}
		c.heard = func(r mail.Reply) { step.Reply = r }
		step.Err = part.do()
		if t := s.report(ctx, step.with(c), observe); t != nil {
			if isRefusal(step.Err, connecting) || step.Reply.Code == 0 && part.stage == StageAuth {
				c.quit() // the server is still there to be told
			}
			return t
		}
	}
	c.quit()
	return nil
}

// part is one stage and how it is done.
type part struct {
	stage Stage
	do    func() error
}

// parts are what open does, one by one.
func (s *SMTP) parts(ctx context.Context, c *conn) []part {
	greeting := part{StageGreeting, func() error {
		reply, _, err := c.reply(s.opts.DialTimeout)
		return expect(phaseGreeting, 220, reply, err)
	}}
	hello := part{StageEHLO, func() error { return s.hello(c) }}
	auth := part{StageAuth, func() error {
		token, err := s.opts.Tokens.Token(ctx, "")
		if err != nil {
			return tokenTrouble(ctx, err)
		}
		return s.signIn(c, token)
	}}
	if s.implicitTLS() {
		return []part{{StageTLS, func() error { return s.encrypt(ctx, c) }}, greeting, hello, auth}
	}
	return []part{greeting, hello, {StageTLS, func() error { return s.startTLS(ctx, c) }}, hello, auth}
}

// with adds what the connection knows after the stage.
func (step Step) with(c *conn) Step {
	if wire, ok := c.wire.(*tls.Conn); ok && step.Err == nil {
		state := wire.ConnectionState()
		step.TLS = &state
	}
	if step.Stage == StageEHLO {
		step.Offers = c.caps.mechanisms
	}
	return step
}

// report explains a step and tells of it.
func (s *SMTP) report(ctx context.Context, step Step, observe func(Step)) *mail.Trouble {
	if step.Reply.Code != 0 {
		step.Said = step.Reply.String()
	}
	if step.Err != nil {
		step.Trouble = s.connectTrouble(ctx, step.Err)
		if step.Said == "" || step.Reply.Positive() { // the last words were not the trouble
			step.Said = step.Trouble.Reply.String()
		}
		if _, explained := step.Err.(*mail.Trouble); step.Said == "" && !explained {
			step.Said = cutText(printable(step.Err.Error()))
			step.Trouble.Cause = strings.TrimSuffix(step.Trouble.Cause, " ("+step.Said+")") // said already
		}
	}
	observe(step)
	return step.Trouble
}

// ErrNotSMTP is in the error of a step to which the server answered something that is no SMTP reply.
var ErrNotSMTP = errGarbage
