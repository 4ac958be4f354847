package main

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/mailbearer/mailbearer/internal/fake365"
	"github.com/mailbearer/mailbearer/tokens"
)

// saying is a flow whose token says this about itself, and is signed by nobody.
func saying(claims map[string]any) tokens.Flow {
	b, _ := json.Marshal(claims)
	access := "eyJhbGciOiJub25lIn0." + base64.RawURLEncoding.EncodeToString(b) + ".c2ln"
	return oneToken{tokens.Token{Access: access, Expires: time.Now().Add(time.Hour)}}
}

const (
	otherTenant = "99999999-2222-3333-4444-555555555555"
	smtpAPI     = "https://outlook.office.com"
)

// A token of another tenant is remarked on; if the mail server refuses it, that is the reason.
func TestCheckTenantOfTheToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fake365.Options{})
	app := map[string]any{"aud": smtpAPI, "roles": []string{"SMTP.SendAsApp"}}
	for name, c := range map[string]struct {
		tenant, tid string
		remark      bool
	}{
		"GUID":         {w.fake.TenantID(), w.fake.TenantID(), false},
		"another GUID": {w.fake.TenantID(), otherTenant, true},
		"domain":       {w.fake.Tenant(), w.fake.TenantID(), false},
		"its other":    {w.fake.Tenant(), otherTenant, true}, // the clock step has asked whose domain it is
		"not said":     {w.fake.Tenant(), "", false},
	} {
		app["tid"] = c.tid
		steps := w.checkup(t.Context(), func(k *checkup) { k.account.OAuth.Tenant, k.flow = c.tenant, saying(app) })
		if s := steps["claims"]; (s.Status == checkFailed) != c.remark || c.remark != strings.Contains(s.Cause+s.Fix, otherTenant) {
			t.Errorf("%s, refused: %+v", name, s)
		}
		k := &checkup{account: readAccount(t, w), tenantID: w.fake.TenantID(), now: time.Now}
		k.account.OAuth.Tenant = c.tenant
		token, _ := saying(app).Fetch(t.Context())
		r := k.checkClaims(t.Context(), token)
		if r.passed(); r.step.Status != checkOK || (r.step.Cause != "") != c.remark || c.remark && !strings.Contains(r.step.Fix, "oauth.tenant") {
			t.Errorf("%s, passed: %+v", name, r.step)
		}
	}
}

// Advice for a token of the wrong API is for the account's own flow.
func TestCheckWrongAPIByFlow(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fake365.Options{})
	token, _ := saying(map[string]any{"aud": "https://graph.microsoft.com", "scp": "SMTP.Send"}).Fetch(t.Context())
	for flow, want := range map[string]string{"device-code": "delegated permission SMTP.Send", "browser": "mailbearer authorize", "client-secret": "SMTP.SendAsApp"} {
		k := &checkup{account: readAccount(t, w), now: time.Now}
		k.account.OAuth.Flow = flow
		s := k.checkClaims(t.Context(), token).step
		if s.Status != checkFailed || !strings.Contains(s.Fix, want) || strings.Contains(s.Fix, `transport = `) ||
			flow != "client-secret" && (strings.Contains(s.Fix, "/.default") || strings.Contains(s.Fix, "SendAsApp")) {
			t.Errorf("%s: %+v", flow, s)
		}
	}
}

// A refresh token is not used where its successor could not be kept.
func TestCheckUnwritableStore(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fake365.Options{Mailboxes: []string{testMailbox}, User: testMailbox})
	w.browserFlow()
	if all, err := authorizeElsewhere(t, w); err != nil {
		t.Fatal(all)
	}
	w.spoilStore()
	asked := w.fake.Counters().TokenRequests
	steps, _, code := w.check()
	if s := steps["token"]; code != exitFailed || s.Status != checkFailed || !strings.Contains(s.Cause, "cannot be stored") || !strings.Contains(s.Fix, "relay's user") {
		t.Errorf("exit %d: %+v", code, s)
	}
	if n := w.fake.Counters().TokenRequests; n != asked {
		t.Errorf("%d token requests", n-asked)
	}
}
