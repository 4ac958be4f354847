package tokens

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"github.com/AzureAD/microsoft-authentication-library-for-go/apps/confidential"
)

// Entra is what every flow of Microsoft Entra ID needs to know.
type Entra struct {
	Authority string       // base URL without tenant, such as https://login.microsoftonline.com
	Tenant    string       // id or domain
	ClientID  string       // of the app registration
	Scopes    []string     // for an app: one, ending in /.default
	HTTP      *http.Client // from NewHTTPClient
}

// noRegion overrules the environment's MSAL_FORCE_REGION, which would move the secret to another host unseen.
const noRegion = "DisableMsalForceRegion"

// fetchApp gets one token for the app itself. The MSAL client is made anew each time, without a cache: it has no
// other way to be told that the token it remembers is not wanted. That costs one request for the endpoint's address,
// on the same connection. Instance discovery is off for every host, the known ones too: all it would add is a third
// request, to a host that nobody configured.
func (e Entra) fetchApp(ctx context.Context, cred confidential.Credential, secrets ...string) (Token, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	x := exchange{vendor: Microsoft}
	client, err := confidential.New(e.authority(), e.ClientID, cred,
		confidential.WithHTTPClient(x.client(e.HTTP)),
		confidential.WithInstanceDiscovery(false),
		confidential.WithAzureRegion(noRegion))
	if err != nil {
		return Token{}, explain(err, &x, secrets...)
	}
	got, err := client.AcquireTokenByCredential(ctx, e.Scopes)
	if err != nil {
		return Token{}, explain(err, &x, secrets...)
	}
	return Token{Access: got.AccessToken, Expires: got.ExpiresOn, RefreshIn: got.Metadata.RefreshOn}, nil
}

func (e Entra) authority() string {
	return strings.TrimRight(e.Authority, "/") + "/" + url.PathEscape(e.Tenant)
}
