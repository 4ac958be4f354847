package tokens

import (
	"net/url"
	"regexp"
	"strings"
	"unicode"
)

// maxSaid is how much of a provider's words is kept, in octets.
const maxSaid = 1024

// tokenLike is what a token, an assertion or a key looks like: a JWT, or a run longer than any id, thumbprint or
// host name that an error needs to show.
var tokenLike = regexp.MustCompile(`eyJ[\w-]{8,}(?:\.[\w-]*)*|[\w+=~-]{72,}`)

// clean makes words of the provider, or of an error, fit to be shown: without the secrets that were sent, without
// anything that looks like a token, on one line, bounded.
func clean(said string, secrets ...string) string {
	for _, s := range secrets {
		if s == "" {
			continue
		}
		said = strings.ReplaceAll(said, s, "[redacted]")
		said = strings.ReplaceAll(said, url.QueryEscape(s), "[redacted]")
	}
	said = tokenLike.ReplaceAllString(said, "[redacted]")
	said = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, said)
	said = strings.Join(strings.Fields(said), " ")
	if len(said) > maxSaid {
		said = strings.ToValidUTF8(said[:maxSaid], "") + " …"
	}
	return said
}
