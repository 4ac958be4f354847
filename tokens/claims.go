package tokens

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"time"

	"github.com/mailbearer/mailbearer/diagnose"
)

// Claims is what an access token says about itself. It is read to explain and to warn, never trusted: only the
// server it is for can verify it.
type Claims struct {
	Audience []string  // aud
	Roles    []string  // roles: application permissions
	Scopes   []string  // scp: delegated permissions
	Tenant   string    // tid
	App      string    // appid (v1) or azp (v2)
	User     string    // upn, preferred_username, unique_name or email (unless it is unverified), whichever is there first
	Name     string    // name, as people write it
	Expires  time.Time // exp
}

// ParseClaims reads the claims of a JWT. A token that is not one says nothing, and that is no fault: to its holder
// an access token is opaque.
func ParseClaims(access string) (Claims, bool) {
	parts := strings.Split(access, ".")
	if len(parts) != 3 {
		return Claims{}, false
	}
	payload, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(parts[1], "="))
	if err != nil {
		return Claims{}, false
	}
	var c struct {
		Aud    words   `json:"aud"`
		Roles  words   `json:"roles"`
		Scp    words   `json:"scp"`
		Tid    string  `json:"tid"`
		AppID  string  `json:"appid"`
		Azp    string  `json:"azp"`
		Upn    string  `json:"upn"`
		Pref   string  `json:"preferred_username"`
		Uniq   string  `json:"unique_name"`
		Email  string  `json:"email"`
		Proven *bool   `json:"email_verified"`
		Name   string  `json:"name"`
		Exp    float64 `json:"exp"`
	}
	if json.Unmarshal(payload, &c) != nil {
		return Claims{}, false
	}
	claims := Claims{Audience: c.Aud, Roles: c.Roles, Scopes: c.Scp, Tenant: c.Tid, App: first(c.AppID, c.Azp), Name: c.Name}
	if c.Proven != nil && !*c.Proven {
		c.Email = "" // anybody may have typed it
	}
	claims.User = first(c.Upn, c.Pref, c.Uniq, c.Email)
	if c.Exp > 0 {
		claims.Expires = time.Unix(int64(c.Exp), 0)
	}
	return claims, true
}

// words is a claim that may be one string of words or a list of them.
type words []string

func (w *words) UnmarshalJSON(b []byte) error {
	var one string
	if json.Unmarshal(b, &one) == nil {
		*w = strings.Fields(one)
		return nil
	}
	var list []string
	if err := json.Unmarshal(b, &list); err != nil {
		return err
	}
	*w = list
	return nil
}

// API names what a token is needed for.
type API string

// The APIs whose tokens are told apart. AnyAPI takes every token.
const (
	AnyAPI   API = ""
	Exchange API = "exchange" // SMTP submission
	Graph    API = "graph"    // Microsoft Graph
)

// audiences are the values of aud by which an API is known for certain, in every cloud. An audience that is not
// here passes: a cloud we do not know must not stop mail, its server will say what it thinks.
var audiences = map[string]API{
	"00000002-0000-0ff1-ce00-000000000000": Exchange,
	"outlook.office365.com":                Exchange,
	"outlook.office.com":                   Exchange,
	"outlook.office365.us":                 Exchange,
	"outlook-dod.office365.us":             Exchange,
	"partner.outlook.cn":                   Exchange,
	"00000003-0000-0000-c000-000000000000": Graph,
	"graph.microsoft.com":                  Graph,
	"graph.microsoft.us":                   Graph,
	"dod-graph.microsoft.us":               Graph,
	"microsoftgraph.chinacloudapi.cn":      Graph,
}

func apiOf(audience string) API {
	return audiences[strings.ToLower(strings.Trim(strings.TrimPrefix(audience, "https://"), "/"))]
}

// wrongAPI explains a token that the server is sure to refuse, before the server says no more than 535 5.7.3. Advice is
// for an app that signs in for itself, or for one as which a person did (delegated): their permissions are others.
func wrongAPI(want API, c Claims, delegated bool) *diagnose.Problem {
	if want == AnyAPI || len(c.Audience) == 0 {
		return nil
	}
	for _, aud := range c.Audience {
		if got := apiOf(aud); got == AnyAPI || got == want {
			return nil
		}
	}
	words := wrongAPIWords[want]
	p := &diagnose.Problem{Class: diagnose.ClassConfig, Cause: words.cause, Fix: words.fixApp}
	if delegated {
		p.Fix = words.fixPerson
	}
	p.Said = clean("the token's audience is " + strings.Join(c.Audience, ", "))
	return p
}

var wrongAPIWords = map[API]struct{ cause, fixApp, fixPerson string }{
	Exchange: {
		cause: "The token is for Microsoft Graph, but mail is sent through Exchange Online (SMTP), which refuses it",
		fixApp: "1. Remove oauth.scopes, or set it to https://outlook.office365.com/.default (the Exchange address of your cloud). " +
			"2. In the app registration the permission is under APIs my organization uses > Office 365 Exchange Online > " +
			"Application permissions > SMTP.SendAsApp; Microsoft Graph > SMTP.Send is another one and does not help. " +
			"3. Grant admin consent.",
		fixPerson: "1. Remove oauth.scopes, or set it to https://outlook.office.com/SMTP.Send and offline_access (the Exchange address of your cloud, " +
			"not that of Microsoft Graph). 2. The app registration needs the delegated permission SMTP.Send; `mailbearer setup-script` adds it. " +
			"3. Sign in again: `mailbearer authorize ACCOUNT`.",
	},
	Graph: {
		cause: "The token is for Exchange Online, but mail is sent through Microsoft Graph, which refuses it",
		fixApp: "1. Remove oauth.scopes, or set it to https://graph.microsoft.com/.default (the Graph address of your cloud). " +
			"2. In the app registration add Microsoft Graph > Application permissions > Mail.Send. " +
			`3. Grant admin consent. 4. Or send through SMTP: transport = "smtp".`,
		fixPerson: "1. Remove oauth.scopes, or set it to https://graph.microsoft.com/Mail.Send and offline_access (the Graph address of your cloud). " +
			"2. In the app registration add Microsoft Graph > Delegated permissions > Mail.Send. " +
			`3. Sign in again: ` + "`mailbearer authorize ACCOUNT`" + `. 4. Or send through SMTP: transport = "smtp".`,
	},
}
