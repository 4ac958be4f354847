package relay

import (
	"crypto/hmac"
	"crypto/md5"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// cramMD5 is RFC 2195's mechanism. It never sends the password, and needs it in the clear on our side.
const cramMD5 = "CRAM-MD5"

// said gives a mechanism's own errors a code for good: the library would answer 454, and the client try for ever.
type said struct{ sasl.Server }

func (m said) Next(response []byte) (challenge []byte, done bool, err error) {
	challenge, done, err = m.Server.Next(response)
	var smtpErr *smtp.SMTPError
	if err != nil && !errors.As(err, &smtpErr) {
		err = refuse(535, smtp.EnhancedCode{5, 7, 8}, "Authentication failed: this is no answer that the mechanism knows")
	}
	return challenge, done, err
}

// loginServer is AUTH LOGIN with the classic prompts; some devices compare them letter by letter.
type loginServer struct {
	check func(name, password string) error
	name  string
	step  int
}

// Next answers one line of the client; nil is the absence of an initial response.
func (l *loginServer) Next(response []byte) (challenge []byte, done bool, err error) {
	if response == nil {
		return []byte("Username:"), false, nil
	}
	if l.step++; l.step == 1 {
		l.name = string(response)
		return []byte("Password:"), false, nil
	}
	return nil, true, l.check(l.name, string(response))
}

// cramServer is AUTH CRAM-MD5.
type cramServer struct {
	challenge string
	check     func(name, challenge string, digest []byte) error
}

func newCramServer(hostname string, check func(name, challenge string, digest []byte) error) *cramServer {
	return &cramServer{fmt.Sprintf("<%s.%d@%s>", rand.Text(), time.Now().Unix(), hostname), check}
}

// Next sends the challenge and checks the answer: the user's name and the digest in hexadecimal.
func (c *cramServer) Next(response []byte) (challenge []byte, done bool, err error) {
	if response == nil {
		return []byte(c.challenge), false, nil
	}
	at := strings.LastIndexByte(string(response), ' ')
	if at < 0 {
		return nil, false, errors.New("no digest")
	}
	digest, err := hex.DecodeString(strings.TrimSpace(string(response[at:])))
	if err != nil {
		return nil, false, err
	}
	return nil, true, c.check(string(response[:at]), c.challenge, digest)
}

// cramDigest is what a client that knows the password answers.
func cramDigest(password, challenge string) []byte {
	m := hmac.New(md5.New, []byte(password))
	m.Write([]byte(challenge))
	return m.Sum(nil)
}
