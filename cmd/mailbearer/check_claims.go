package main

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/mailbearer/mailbearer/diagnose"
	"github.com/mailbearer/mailbearer/tokens"
)

// The permissions that Exchange Online wants in a token: of an app, and of a person. Graph has others of like names.
const (
	permissionApp    = "SMTP.SendAsApp"
	permissionPerson = "SMTP.Send"
)

// claimsReport is what a token says of itself. What may be a reason for a refusal is none before AUTH has been refused:
// a token without roles is right where Exchange grants the permission itself (RBAC for Applications).
type claimsReport struct {
	step       checkStep
	cause, fix string // what is to blame if AUTH refuses the token; "" when nothing is
	granted    string // what is to be made of it if AUTH passes
	known      identity
	mailbox    string
	delegated  bool
	microsoft  bool
}

// identity is who a token is for: the claims that package tokens reads, and one more.
type identity struct {
	tokens.Claims
	Object string // oid: of an app, the Object ID under Enterprise applications
}

// oneToken is a flow that has its token already.
type oneToken struct{ tokens.Token }

// Fetch implements tokens.Flow.
func (o oneToken) Fetch(context.Context) (tokens.Token, error) { return o.Token, nil }

// checkClaims reads the token. A token for the wrong API, and one that is outdated, is refused by package tokens, in
// its words.
func (c *checkup) checkClaims(ctx context.Context, token tokens.Token) claimsReport {
	r := claimsReport{
		step:    checkStep{Step: "claims", Status: checkOK, Tried: "read the token's claims"},
		mailbox: c.account.Mailbox, microsoft: c.account.Endpoints.Authority != "",
		delegated: bySignIn(c.account.OAuth),
	}
	m := tokens.New(tokens.Options{Name: c.account.Name, Flow: oneToken{token}, API: apiOf(c.account), Person: r.delegated, Clock: c.now})
	defer m.Close()
	_, err := m.Token(ctx, "")
	known, readable := readIdentity(token.Access)
	var p *diagnose.Problem
	switch {
	case errors.As(err, &p):
		r.step = failedStep(r.step, p.Said, p.Cause, p.Fix)
	case !readable:
		r.step = checkStep{Step: "claims", Status: checkSkipped, Cause: "the token does not say anything about itself; that is no fault"}
	default:
		r.known = known
		r.step.Said = known.String()
		r.suspect(c)
		r.foreign(c)
	}
	return r
}

// String lists the claims that matter.
func (i identity) String() string {
	parts := []string{"aud " + strings.Join(i.Audience, " ")}
	for _, claim := range []struct{ name, value string }{
		{"roles", strings.Join(i.Roles, " ")}, {"scp", strings.Join(i.Scopes, " ")}, {"tid", i.Tenant}, {"appid", i.App},
		{"oid", i.Object}, {"upn", i.User},
	} {
		if claim.value != "" {
			parts = append(parts, claim.name+" "+claim.value)
		}
	}
	if !i.Expires.IsZero() {
		parts = append(parts, "exp "+i.Expires.UTC().Format(time.RFC3339))
	}
	return strings.Join(parts, ", ")
}

func readIdentity(access string) (identity, bool) {
	claims, ok := tokens.ParseClaims(access)
	if !ok {
		return identity{}, false
	}
	payload, _ := base64.RawURLEncoding.DecodeString(strings.TrimRight(strings.Split(access, ".")[1], "="))
	var more map[string]any
	if json.Unmarshal(payload, &more) != nil {
		return identity{}, false
	}
	object, _ := more["oid"].(string)
	return identity{Claims: claims, Object: object}, true
}

// suspect notes what would explain a refusal.
func (r *claimsReport) suspect(c *checkup) {
	has := func(list []string, want string) bool {
		return slices.ContainsFunc(list, func(s string) bool { return strings.EqualFold(s, want) })
	}
	o := c.account.OAuth
	switch {
	case !r.microsoft:
		return
	case r.delegated && !has(r.known.Scopes, permissionPerson):
		r.cause = fmt.Sprintf("The token lacks the permission %s (it has: %s), and Exchange Online does not accept it", permissionPerson, wordsOrNone(r.known.Scopes))
		r.fix = fmt.Sprintf("1. Entra admin center > App registrations > your app > API permissions > Add > Microsoft Graph > Delegated permissions > %s, then Grant admin consent. 2. Remove oauth.scopes if it is set. 3. Sign in again: `mailbearer authorize %s`.", permissionPerson, c.account.Name)
	case !r.delegated && !has(r.known.Roles, permissionApp):
		r.noRole()
	case o.ClientID != "" && r.known.App != "" && !strings.EqualFold(o.ClientID, r.known.App):
		r.cause = fmt.Sprintf("The token is for the app %s, and %s is configured", r.known.App, o.ClientID)
		r.fix = "Set oauth.client_id to the Application (client) ID of the app registration."
	case r.delegated && r.known.User != "" && !strings.EqualFold(r.known.User, r.mailbox):
		r.cause = fmt.Sprintf("%s signed in, and the mailbox is %s, which that person may not use", r.known.User, r.mailbox)
		r.fix = fmt.Sprintf("1. Sign in as the mailbox itself: `mailbearer authorize %s`. 2. Or, for a shared mailbox, give %s Full Access and Send As: Add-MailboxPermission and Add-RecipientPermission in Exchange Online PowerShell.", c.account.Name, r.known.User)
		r.step.Cause = fmt.Sprintf("%s signed in, not %s: that is right for a shared mailbox", r.known.User, r.mailbox)
	}
}

// foreign remarks on a token of another tenant than the configured one. If AUTH refuses it, that is the reason.
func (r *claimsReport) foreign(c *checkup) {
	o, want := c.account.OAuth, c.tenantID
	if isGUID(o.Tenant) {
		want = o.Tenant
	}
	if !r.microsoft || want == "" || r.known.Tenant == "" || strings.EqualFold(want, r.known.Tenant) {
		return
	}
	r.cause = fmt.Sprintf("The token is from the tenant %s, but oauth.tenant names %s", r.known.Tenant, o.Tenant)
	if !isGUID(o.Tenant) {
		r.cause += fmt.Sprintf(" (%s)", want)
	}
	r.fix = "1. Set oauth.tenant to the Directory (tenant) ID of the tenant that has the mailbox (Entra admin center > Overview)."
	if r.delegated {
		r.fix += fmt.Sprintf(" 2. Or sign in as a user of that tenant: `mailbearer authorize %s`.", c.account.Name)
	}
	r.step.Cause, r.step.Fix = strings.TrimSuffix(r.cause+"\n"+r.step.Cause, "\n"), r.fix
}

// noRole is an app's token without the permission.
func (r *claimsReport) noRole() {
	app, object := cmp.Or(r.known.App, "<client id>"), cmp.Or(r.known.Object, "<object id>")
	r.step.Cause = fmt.Sprintf("The token carries no permission %s (roles: %s). That is right where Exchange Online grants it by RBAC for Applications", permissionApp, wordsOrNone(r.known.Roles))
	r.granted = "; it does here, since AUTH passed"
	r.cause = fmt.Sprintf("The app has no permission to send: the token carries no %s (roles: %s), and Exchange Online does not grant it by RBAC for Applications either", permissionApp, wordsOrNone(r.known.Roles))
	r.fix = fmt.Sprintf("Do one of the two. 1. In Exchange Online PowerShell, for this mailbox only (recommended): "+
		`New-ServicePrincipal -AppId %s -ObjectId %s -DisplayName "mailbearer"; `+
		`New-ManagementScope -Name "mailbearer %s" -RecipientRestrictionFilter "PrimarySmtpAddress -eq '%s'"; `+
		`New-ManagementRoleAssignment -App %s -Role "Application SMTP.SendAsApp" -CustomResourceScope "mailbearer %s". `+
		"2. In the Entra admin center: App registrations > your app > API permissions > Add > APIs my organization uses > Office 365 Exchange Online > Application permissions > %s "+
		"(not Microsoft Graph > SMTP.Send), then Grant admin consent; then Add-MailboxPermission -Identity %s -User %s -AccessRights FullAccess in Exchange Online PowerShell. "+
		"Either may take Exchange up to an hour to notice.", app, object, app, r.mailbox, object, app, permissionApp, r.mailbox, object)
}

// passed is what AUTH's success shows.
func (r *claimsReport) passed() {
	r.step.Cause += r.granted
}

// blame returns the words for a token that AUTH has refused. If the claims are the likely reason, their step fails too.
func (r *claimsReport) blame(cause, fix string) (string, string) {
	switch {
	case r.cause != "":
		r.step.Status, r.step.Cause, r.step.Fix = checkFailed, r.cause, r.fix
		if r.microsoft && !r.delegated && r.known.Object != "" {
			fix = r.exchangeFix()
		}
		return cause + ". The likely reason stands under claims", "Do what stands under claims first, and wait up to an hour. If it stays so: " + fix
	case r.microsoft && !r.delegated && r.known.Object != "":
		return fmt.Sprintf("%s. The token itself is right (it carries %s), so Exchange Online does not know this app for the mailbox %s", cause, permissionApp, r.mailbox), r.exchangeFix()
	}
	return cause, fix
}

// exchangeFix is what to look at in Exchange when the token is right. The token knows the object ID that
// New-ServicePrincipal wants, which is the one that is most often mistaken.
func (r *claimsReport) exchangeFix() string {
	app, object := cmp.Or(r.known.App, "<client id>"), r.known.Object
	return fmt.Sprintf("In Exchange Online PowerShell (Connect-ExchangeOnline): "+
		"1. Get-ServicePrincipal must list AppId %s with ObjectId %s, which is the Object ID under Enterprise applications (the one under App registrations is another one, and the most frequent mistake). "+
		"If it does not: Remove-ServicePrincipal the wrong one, then New-ServicePrincipal -AppId %s -ObjectId %s -DisplayName \"mailbearer\". "+
		"2. Add-MailboxPermission -Identity %s -User %s -AccessRights FullAccess, or a scoped role \"Application SMTP.SendAsApp\"; Test-ServicePrincipalAuthorization -Identity %s -Resource %s shows the role. "+
		"3. Get-Mailbox %s: the mailbox must exist, be this account's `mailbox` to the letter, and have a licence. "+
		"4. Set-CASMailbox %s -SmtpClientAuthenticationDisabled $false. "+
		"5. After a change wait up to an hour.",
		app, object, app, object, r.mailbox, object, object, r.mailbox, r.mailbox, r.mailbox)
}

func wordsOrNone(words []string) string {
	if len(words) == 0 {
		return "none"
	}
	return strings.Join(words, " ")
}

// isGUID knows the form of Microsoft's ids.
func isGUID(s string) bool {
	parts := strings.Split(s, "-")
	return len(s) == 36 && len(parts) == 5 && len(parts[0]) == 8 && strings.Trim(strings.Join(parts, ""), "0123456789abcdefABCDEF") == ""
}
