package tokens

// Vendor is whose pages and words advice may speak of. What is done never depends on it.
type Vendor string

// The vendors that are told apart. Other is everyone whose pages are unknown here: its own words have to do.
const (
	Other     Vendor = ""
	Microsoft Vendor = "Microsoft"
	Google    Vendor = "Google"
)

// topic is what advice is about.
type topic int

const (
	onCredential topic = iota
	onSecret
	onCertificate
	onNewCertificate
	onNewSecret
	onApp
	onScope
	onMissingScope
	onNoRefreshToken
	onPolicy
	onSignIn
	onDecline
	onWait
	onWaitSignIn
	onReach
	onReachSignIn
	onTrust
	onPortal
	onSettings
	onIdleSignIn
	onRefusedFresh
)

// advice is everything that a person is told to do about a sign-in. A vendor without a line of its own is told what
// holds for all (Other).
var advice = map[topic]map[Vendor]string{
	onCredential: {
		Microsoft: "1. Check oauth.client_id and the secret or certificate: the Value of the secret, not its ID; the certificate uploaded to this very app. " +
			"2. Entra admin center > App registrations > your app > Certificates & secrets shows what is valid and until when.",
		Google: "1. Google Cloud console > APIs & Services > Credentials > the OAuth client: compare oauth.client_id and oauth.client_secret; for a service account its key.",
		Other:  "1. Compare oauth.client_id, and its secret or certificate, with the app's registration at the provider, and see there until when they are valid.",
	},
	onSecret: {
		Microsoft: "1. oauth.client_secret must be the Value of a secret under App registrations > your app > Certificates & secrets. " +
			"2. If it is in a file, the relay's user must be allowed to read it.",
		Other: "1. oauth.client_secret must be the app's secret, as the provider shows it. 2. If it is in a file, the relay's user must be allowed to read it.",
	},
	onCertificate: {
		Other: "1. oauth.certificate must be a PFX or PEM file with an RSA key, certificate_password its password. " +
			"2. The relay's user must be allowed to read it. 3. `mailbearer certificate new` makes one.",
	},
	onNewCertificate: {
		Microsoft: "1. Check this machine's date and time. 2. `mailbearer certificate new` makes another; upload its .cer under App registrations > your app > " +
			"Certificates & secrets, beside the old one. 3. Put it in place; the relay picks it up. 4. Remove the old one in Entra.",
		Other: "1. Check this machine's date and time. 2. `mailbearer certificate new` makes another; register it for the app at the provider, beside the old one. " +
			"3. Put it in place; the relay picks it up. 4. Remove the old one at the provider.",
	},
	onNewSecret: {
		Microsoft: "1. App registrations > your app > Certificates & secrets > New client secret. " +
			"2. Put its Value where oauth.client_secret points, and its end into client_secret_expires; the relay picks it up.",
		Google: "1. Google Cloud console > APIs & Services > Credentials > the OAuth client > Add secret. " +
			"2. Put it where oauth.client_secret points; the relay picks it up.",
		Other: "1. Have the provider make a new secret for the app. 2. Put it where oauth.client_secret points, and its end into client_secret_expires; the relay picks it up.",
	},
	onApp: {
		Microsoft: "1. Compare oauth.tenant and oauth.client_id with the Overview page of the app registration. " +
			"2. Check the cloud: worldwide, US Government and China have different sign-in addresses.",
		Google: "1. Google Cloud console > APIs & Services > Credentials: compare oauth.client_id with the OAuth client, whose type should be Desktop app.",
		Other: "1. The provider's own words name the reason. 2. Compare oauth.client_id and oauth.flow with the app's registration at the provider, " +
			"and [account.endpoints] with its documentation.",
	},
	onScope: {
		Microsoft: "1. Remove oauth.scopes; the right value follows from the provider. 2. For an app it must end in /.default and name one API only.",
		Google:    "1. Remove oauth.scopes; the right value is https://mail.google.com/.",
		Other:     "1. Take oauth.scopes from the provider's documentation, and see that the app is registered for them.",
	},
	onMissingScope: {
		Microsoft: "1. In Entra: App registrations > your app > API permissions: add the delegated permission (SMTP.Send is under Microsoft Graph " +
			"and under Office 365 Exchange Online). 2. Grant admin consent, or agree when the sign-in asks. 3. Sign in again.",
		Google: "1. Sign in again, and tick every box of the page on which Google asks, that for Gmail too. " +
			"2. Google Cloud console > Google Auth Platform > Data access: the scope https://mail.google.com/ must be in the list.",
		Other: "1. Register the app for this permission at the provider, or correct oauth.scopes. 2. Sign in again, and agree to what it asks for.",
	},
	onNoRefreshToken: {
		Microsoft: "1. Remove oauth.scopes, or add offline_access to it. 2. Sign in again.",
		Google:    "1. Remove mailbearer under https://myaccount.google.com/connections: Google gives a refresh token at the first consent. 2. Sign in again.",
		Other: "1. Add to oauth.scopes what the provider's documentation wants for a refresh token, often offline_access. " +
			"2. The app must be registered for refresh tokens. 3. Sign in again.",
	},
	onPolicy: {
		Microsoft: "1. Entra admin center > Monitoring > Sign-in logs > Service principal sign-ins shows which policy refused. " +
			"2. Have an administrator exclude this app or this machine's address.",
		Google: "1. Google Admin console > Security > API controls > App access control: the app must be trusted there.",
		Other:  "1. Ask whoever administers the provider which of its rules refuses this app, this user or this machine's address.",
	},
	onSignIn:  {Other: "1. Run `mailbearer authorize ACCOUNT` and sign in as the mailbox."},
	onDecline: {Other: "1. Run the command again, and finish the sign-in. 2. If a policy refuses the code, use --browser."},
	onWait: {
		Microsoft: "Nothing: the relay tries again by itself. If it lasts, see https://status.cloud.microsoft.",
		Google:    "Nothing: the relay tries again by itself. If it lasts, see https://www.google.com/appsstatus/dashboard/.",
		Other:     "Nothing: the relay tries again by itself. If it lasts, ask the provider.",
	},
	onWaitSignIn: {
		Microsoft: "1. Run the command again in a few minutes. 2. If it lasts, see https://status.cloud.microsoft.",
		Google:    "1. Run the command again in a few minutes. 2. If it lasts, see https://www.google.com/appsstatus/dashboard/.",
		Other:     "1. Run the command again in a few minutes. 2. If it lasts, ask the provider.",
	},
	onReach: {
		Microsoft: reachMicrosoft + " It is tried again meanwhile.",
		Google:    reachGoogle + " It is tried again meanwhile.",
		Other:     reachOther + " It is tried again meanwhile.",
	},
	onReachSignIn: {
		Microsoft: reachMicrosoft + " 3. Run the command again.",
		Google:    reachGoogle + " 3. Run the command again.",
		Other:     reachOther + " 3. Run the command again.",
	},
	onTrust: {
		Microsoft: trustFix("login.microsoftonline.com"),
		Google:    trustFix("oauth2.googleapis.com"),
		Other:     trustFix("the host of endpoints.token"),
	},
	onPortal: {
		Microsoft: portalFix("endpoints.authority", "login.microsoftonline.com"),
		Google:    portalFix("endpoints.token", "oauth2.googleapis.com"),
		Other:     portalFix("endpoints.token", "its host"),
	},
	onSettings: {
		Microsoft: "1. endpoints.authority must be a https address such as https://login.microsoftonline.com. " +
			"2. oauth.tenant and oauth.client_id must be those of the app registration's Overview page.",
		Other: "1. endpoints.token must be the https address of the provider's token endpoint.",
	},
	onIdleSignIn: {
		Other: "1. The relay uses it at least weekly by itself, so something keeps it from doing so: `mailbearer status` says what. " +
			"2. Once it has expired, run `mailbearer authorize ACCOUNT`.",
	},
	onRefusedFresh: {
		Microsoft: refusedFix + " 3. After a change in Exchange allow up to an hour.",
		Other:     refusedFix,
	},
}

const refusedFix = "1. The token is new, so it is not the sign-in: the app lacks a permission, or the mailbox is not open to it. " +
	"2. Run `mailbearer check` for this account; it goes through each step of the set-up."

const (
	reachMicrosoft = "1. From this machine open the sign-in address (login.microsoftonline.com, port 443). " + reachCheck
	reachGoogle    = "1. From this machine open the sign-in address (oauth2.googleapis.com, port 443). " + reachCheck
	reachOther     = "1. From this machine open the address of endpoints.token. " + reachCheck
	reachCheck     = "2. Check network.proxy, DNS and the firewall."
)

func trustFix(host string) string {
	return "1. Check this machine's date and time. 2. If a proxy or firewall inspects TLS, save its root certificate as PEM and name " +
		"the file in endpoints.ca_file, or exclude " + host + " from inspection. 3. Never switch verification off."
}

func portalFix(key, host string) string {
	return "1. Something between this machine and the sign-in service answers in its place: a proxy, a firewall or a captive portal. " +
		"2. Check " + key + " and network.proxy, and allow " + host + ", port 443."
}

// fix is what a person is to do, in words about this vendor alone.
func (v Vendor) fix(t topic) string {
	if text := advice[t][v]; text != "" {
		return text
	}
	return advice[t][Other]
}
