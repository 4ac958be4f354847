package fake365

import (
	"encoding/base64"
	"strings"
)

// auth is the AUTH command, RFC 4954 §4.
func (c *session) auth(arg string) error {
	mechanism, initial, hasInitial := strings.Cut(arg, " ")
	mechanism = strings.ToUpper(mechanism)
	switch {
	case !c.hello:
		c.refuse("503 5.5.2 Send hello first")
	case c.mailbox != "" || c.tx.open:
		c.refuse("503 5.5.2 Already authenticated")
	case !c.secure || mechanism != "XOAUTH2" && mechanism != "LOGIN": // it was not offered
		c.refuse("504 5.7.4 Unrecognized authentication type")
	case mechanism == "LOGIN":
		return c.authLogin(strings.TrimSpace(initial), hasInitial)
	default:
		return c.authXOAUTH2(strings.TrimSpace(initial), hasInitial)
	}
	return nil
}

// ask sends a challenge (base64 already) and returns the client's answer; ok is false when it gave up.
func (c *session) ask(challenge string) (answer string, ok bool, err error) {
	c.reply("334 " + challenge)
	if err := c.flush(); err != nil {
		return "", false, err
	}
	if answer, err = c.readLine(); err != nil {
		return "", false, err
	}
	if answer == "*" { // RFC 4954 §4
		c.refuse("501 5.7.0 Authentication cancelled")
		return "", false, nil
	}
	return answer, true, nil
}

// authLogin lets the client say user and password before it refuses, as Exchange does; neither is looked at.
func (c *session) authLogin(initial string, hasInitial bool) error {
	prompts := []string{"VXNlcm5hbWU6", "UGFzc3dvcmQ6"} // "Username:", "Password:"
	if hasInitial && initial != "" {
		prompts = prompts[1:]
	}
	for _, prompt := range prompts {
		if _, ok, err := c.ask(prompt); !ok || err != nil {
			return err
		}
	}
	if done, err := c.authFault("LOGIN"); done || err != nil {
		return err
	}
	c.refused("535 5.7.139 Authentication unsuccessful, basic authentication is disabled.", "", "a password, and basic authentication is disabled")
	return nil
}

// authFault plays a fault; a 535 of its is a refusal like any other.
func (c *session) authFault(subjects ...string) (done bool, err error) {
	f := c.srv.fault("auth", subjects...)
	if f != nil && strings.HasPrefix(f.Answer, "535") {
		c.srv.record.count(func(n *Counters) { n.AuthRefused++ })
	}
	return c.play(f)
}

// authXOAUTH2 takes the token on the command line or after an empty challenge.
func (c *session) authXOAUTH2(response string, hasInitial bool) error {
	if !hasInitial || response == "" {
		var ok bool
		var err error
		if response, ok, err = c.ask(""); !ok || err != nil {
			return err
		}
	}
	user, token, ok := parseXOAUTH2(response)
	if done, err := c.authFault("XOAUTH2", user); done || err != nil {
		return err
	}
	if !ok {
		c.refused("535 5.7.3 Authentication unsuccessful", user, "the response is not user=…^Aauth=Bearer …^A^A in base64")
		return nil
	}
	c.admit(user, token)
	return nil
}

// parseXOAUTH2 reads base64 of "user=" address ^A "auth=Bearer " token ^A ^A.
func parseXOAUTH2(response string) (user, token string, ok bool) {
	b, err := base64.StdEncoding.DecodeString(response)
	if err != nil {
		return "", "", false
	}
	parts := strings.Split(string(b), "\x01")
	if len(parts) != 4 || parts[2] != "" || parts[3] != "" {
		return "", "", false
	}
	user, okUser := strings.CutPrefix(parts[0], "user=")
	token, okToken := strings.CutPrefix(parts[1], "auth=Bearer ")
	return user, token, okUser && okToken
}

// admit decides whether the token opens the mailbox.
func (c *session) admit(user, token string) {
	switch why := c.srv.objection(user, token); {
	case why != "":
		c.refused("535 5.7.3 Authentication unsuccessful", user, why)
	case !c.srv.record.enter(user, c.srv.opt.MaxConnections):
		c.srv.tell(Event{Kind: EventAuthRefused, Remote: c.raw.RemoteAddr().String(), Mailbox: user, Detail: "too many connections of this mailbox"})
		c.reply("432 4.3.2 Concurrent connections limit exceeded. Visit https://aka.ms/concurrent_sending for more information. [Hostname=" + c.host + "]")
	default:
		c.mailbox = user
		c.srv.tell(Event{Kind: EventAuth, Remote: c.raw.RemoteAddr().String(), Mailbox: user, Detail: "XOAUTH2"})
		c.reply("235 2.7.0 Authentication successful")
	}
}

// objection says why the token does not open the mailbox, or "". The client is never told: it gets 535 5.7.3.
func (s *Server) objection(user, token string) string {
	a := s.entra.lookup(token)
	switch {
	case a == nil:
		return "the token is unknown, expired or revoked"
	case a.audience != outlook365 && a.audience != outlookCom:
		return "the token is for " + a.audience
	case a.user == "" && !a.allows("SMTP.SendAsApp", outlook365, outlookCom):
		return "the token has no role SMTP.SendAsApp"
	case a.user != "" && !a.allows("SMTP.Send", outlook365, outlookCom):
		return "the token has no scope SMTP.Send"
	case !s.opt.hasMailbox(user):
		return "there is no such mailbox, or not for this app"
	}
	return ""
}

// refused answers 535 and tells the narrator why.
func (c *session) refused(text, user, why string) {
	c.srv.record.count(func(n *Counters) { n.AuthRefused++ })
	c.srv.tell(Event{Kind: EventAuthRefused, Remote: c.raw.RemoteAddr().String(), Mailbox: user, Detail: why})
	c.refuse(text)
}
