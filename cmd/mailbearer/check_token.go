package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/mailbearer/mailbearer/diagnose"
	"github.com/mailbearer/mailbearer/spool/sqlite"
	"github.com/mailbearer/mailbearer/tokens"
)

// checkSignIn goes to the sign-in service. When it returns, access or noToken is set.
func (c *checkup) checkSignIn(ctx context.Context) {
	c.noToken = "there is no token (token)"
	if c.login != nil && c.login.blocked != "" {
		c.noToken = "there is no token: " + c.login.blocked
		c.skip(c.login.blocked, "clock", "token")
		c.skip("there is no token (token)", "claims")
		return
	}
	c.checkClock(ctx)
	token, ok := c.checkToken(ctx)
	if !ok {
		c.skip("there is no token (token)", "claims")
		return
	}
	c.claims = c.checkClaims(ctx, token)
	switch {
	case c.claims.step.Status == checkFailed:
		c.noToken = "the token cannot be the right one (claims)"
		c.tell(c.claims.step)
		return
	case c.claims.cause == "": // nothing that AUTH could show to be the reason
		c.tell(c.claims.step)
	}
	c.access = token.Access
}

// A clock that is off by more makes sign-in fail, or will soon.
const (
	skewFails = 5 * time.Minute
	skewWarns = time.Minute
)

// checkClock holds our clock against the sign-in service's.
func (c *checkup) checkClock(ctx context.Context) {
	u, _, _ := c.signInURL()
	if u == nil {
		c.skip("this sign-in has no server whose clock could be asked", "clock")
		return
	}
	ctx, cancel := context.WithTimeout(ctx, checkClockLimit)
	defer cancel()
	s := checkStep{Step: "clock", Status: checkOK, Tried: "compare with " + u.Host}
	theirs, err := c.theirTime(ctx, u)
	var untrusted *tls.CertificateVerificationError
	switch {
	case errors.As(err, &untrusted):
		c.issuer = issuerOf(untrusted)
		c.skip("the sign-in service's certificate is not trusted, so its clock says nothing; token says more", "clock")
		return
	case err != nil:
		c.skip("the sign-in service cannot be asked for the time; token says more", "clock")
		return
	case theirs.IsZero():
		c.skip("the sign-in service did not say what time it is", "clock")
		return
	}
	s.Said = theirs.UTC().Format(time.RFC1123)
	c.tell(c.compareClocks(s, c.now().Sub(theirs)))
}

func (c *checkup) compareClocks(s checkStep, skew time.Duration) checkStep {
	direction := "ahead of"
	if skew < 0 {
		direction = "behind"
	}
	if skew.Abs() <= skewWarns {
		return s
	}
	s.Cause = fmt.Sprintf("This machine's clock is %s %s the sign-in service's", skew.Abs().Round(time.Second), direction)
	s.Fix = "Set the clock and keep it set. Linux: timedatectl set-ntp true. Windows: w32tm /resync. A virtual machine may have to take it from its host."
	if skew.Abs() > skewFails {
		s.Status = checkFailed
		s.Cause += ": tokens and certificates are taken for outdated, or for not valid yet"
	} else {
		s.Cause += ": sign-in bears up to five minutes"
	}
	return s
}

// theirTime is the Date of an answer that needs no secret. A cache on the way says how old it is (RFC 9111 §5.1).
func (c *checkup) theirTime(ctx context.Context, u *url.URL) (time.Time, error) {
	where := *u
	if c.account.Endpoints.Authority != "" {
		where = *u.JoinPath(c.account.OAuth.Tenant, "v2.0", ".well-known", "openid-configuration")
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, where.String(), nil)
	if err != nil {
		return time.Time{}, err
	}
	r.Header.Set("Cache-Control", "no-cache")
	client := tokens.NewHTTPClient(tokens.HTTPOptions{RootCAs: c.roots, Proxy: c.way.http, DialTimeout: c.limit(checkClockLimit)})
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	defer client.CloseIdleConnections()
	answer, err := client.Do(r)
	if err != nil {
		return time.Time{}, err
	}
	defer answer.Body.Close()
	var discovery struct {
		Issuer string `json:"issuer"`
	}
	if body, err := io.ReadAll(io.LimitReader(answer.Body, 64<<10)); err == nil && json.Unmarshal(body, &discovery) == nil {
		c.tenantID = guidIn(discovery.Issuer)
	}
	t, err := http.ParseTime(answer.Header.Get("Date"))
	if err != nil {
		return time.Time{}, nil
	}
	age, _ := strconv.Atoi(answer.Header.Get("Age"))
	return t.Add(time.Duration(age) * time.Second), nil
}

// checkToken asks for an access token, as the relay would.
func (c *checkup) checkToken(ctx context.Context) (tokens.Token, bool) {
	limited, cancel := context.WithTimeout(ctx, checkTokenLimit)
	defer cancel()
	o := c.account.OAuth
	s := checkStep{Step: "token", Status: checkOK, Tried: "ask for an access token by " + o.Flow}
	if c.login != nil {
		s.Tried += " at " + c.login.host
	}
	if o.Tenant != "" {
		s.Tried += ", tenant " + o.Tenant
	}
	if o.ClientID != "" {
		s.Tried += ", app " + o.ClientID
	}
	if bySignIn(c.account.OAuth) { // a refresh token that is used is replaced by another, which must be kept
		if p := (*diagnose.Problem)(nil); errors.As(c.store.Writable(), &p) {
			c.tell(failedStep(s, "", p.Error()+", so it is not used: the one that replaces it would be lost", p.Fix))
			return tokens.Token{}, false
		}
	}
	token, err := c.flow.Fetch(limited)
	switch {
	case err == nil:
		s.Said = "a token that is good until " + token.Expires.UTC().Format(time.RFC3339)
		s.Cause, s.Fix = c.endOfCredential()
	case ctx.Err() != nil:
		s = c.outOfTime(ctx, s)
	default:
		s = c.noTokenBecause(s, err)
	}
	c.tell(s)
	return token, err == nil
}

func (c *checkup) noTokenBecause(s checkStep, err error) checkStep {
	var p *diagnose.Problem
	if !errors.As(err, &p) {
		return failedStep(s, "", "No access token could be had: "+err.Error(), "Check the account's [oauth] settings.")
	}
	s = failedStep(s, p.Said, p.Cause, p.Fix)
	if p.RetryAfter > 0 {
		s.Fix += fmt.Sprintf(" The service wants nobody to ask again for %s.", p.RetryAfter.Round(time.Second))
	}
	if c.issuer != "" {
		s.Cause += fmt.Sprintf("; its certificate was issued by %q", c.issuer)
	}
	return s
}

// endOfCredential warns of a secret or certificate that ends soon, as the relay does (alerts.expiry_warning).
func (c *checkup) endOfCredential() (cause, fix string) {
	e := tokens.Expiry{Kind: credentialOf(c.account.OAuth), At: c.expires, Vendor: vendorOf(c.account)}
	w, _ := tokens.Forecast(e, tokens.Told{}, c.warnings, c.now())
	if w == nil {
		return "", ""
	}
	return w.Text, w.Fix
}

// guidIn finds the tenant in the name that Entra gives to itself for it.
func guidIn(issuer string) string {
	for part := range strings.SplitSeq(issuer, "/") {
		if isGUID(part) {
			return part
		}
	}
	return ""
}

func (c *checkup) whoIsBusy() string {
	if sqlite.Running(c.dataDir) {
		return "the relay is using the mailbox's connections"
	}
	return "something else is using the mailbox's connections"
}
