package tokens

import (
	"encoding/json"
	"strconv"
	"time"
)

// assumedLife is the life of a token whose provider does not say: RFC 6749 §5.1 leaves that open, and an hour is what
// most give. If it is too long a connection is refused once, and the token renewed then.
const assumedLife = time.Hour

// withLife sees to it that an answer with a token says how long the token lives, as a whole number of seconds: what
// the libraries make of an answer without it, or with it as text, is a time long past or an error. A token that is a
// JWT says it itself. Whatever else is in the answer stays as it is, and so does an answer that is none.
func withLife(body []byte, now time.Time) []byte {
	var a oauthAnswer
	if json.Unmarshal(body, &a) != nil || a.Access == "" {
		return body
	}
	life := time.Duration(a.ExpiresIn)
	if life == 0 {
		life = assumedLife
		if c, ok := ParseClaims(a.Access); ok && !c.Expires.IsZero() {
			life = c.Expires.Sub(now)
		}
	}
	var fields map[string]json.RawMessage
	if json.Unmarshal(body, &fields) != nil {
		return body
	}
	fields["expires_in"] = strconv.AppendInt(nil, int64(life/time.Second), 10)
	whole, err := json.Marshal(fields)
	if err != nil {
		return body
	}
	return whole
}
