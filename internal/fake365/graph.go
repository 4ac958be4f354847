package fake365

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/mail"
	"strings"
	"time"
)

// maxGraphBody is Graph's limit for one request; the message in it is a quarter smaller, for it is base64.
const maxGraphBody = 4 << 20

// graphConcurrency is how many requests of one app and mailbox Graph serves at a time.
const graphConcurrency = 4

// graphError is an error of Graph: a code to go by, and a text.
type graphError struct {
	status        int
	code, message string
}

// httpFault plays the fault of an HTTP step, if one fires, and says whether the request is done with.
func (s *Server) httpFault(w http.ResponseWriter, r *http.Request, at string, subjects ...string) bool {
	return s.playHTTP(w, r, s.fault(at, subjects...))
}

func (s *Server) playHTTP(w http.ResponseWriter, r *http.Request, f *Fault) bool {
	if f == nil {
		return false
	}
	if sleep(r.Context(), f.Delay) != nil {
		return true
	}
	switch {
	case f.Hang:
		<-r.Context().Done() // the client left, or the door was shut
		panic(http.ErrAbortHandler)
	case f.Drop:
		panic(http.ErrAbortHandler) // net/http's way to cut the connection without a word
	case f.answers():
		for name, value := range f.Header {
			w.Header().Set(name, value)
		}
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		w.WriteHeader(max(f.Status, http.StatusOK))
		io.WriteString(w, f.Answer)
		return true
	}
	return false
}

// notFound answers what neither Entra nor Graph has here.
func (s *Server) notFound(w http.ResponseWriter, r *http.Request) {
	writeGraphError(w, r, graphError{http.StatusNotFound, "ResourceNotFound", "Resource could not be discovered."})
}

// sendMail is POST /users/{id}/sendMail and /me/sendMail with the whole message as base64 text.
func (s *Server) sendMail(w http.ResponseWriter, r *http.Request) {
	body, bodyErr := io.ReadAll(http.MaxBytesReader(w, r.Body, maxGraphBody))
	text, textErr := base64.StdEncoding.DecodeString(string(bytes.TrimSpace(body)))
	m, refused := s.graphMessage(r, text, errors.Join(bodyErr, textErr))
	f := s.fault("graph", r.URL.Path, string(text))
	if f != nil && f.Taken && refused == nil {
		s.take(m)
	}
	if s.playHTTP(w, r, f) {
		return
	}
	if refused == nil {
		refused = s.submit(r, m, f != nil && f.Taken)
	}
	if refused != nil {
		writeGraphError(w, r, *refused)
		return
	}
	w.WriteHeader(http.StatusAccepted)
}

// submit takes the message, unless the mailbox has too many requests at a time.
func (s *Server) submit(r *http.Request, m Message, taken bool) *graphError {
	if !s.record.enterGraph(m.Mailbox) {
		return &graphError{http.StatusTooManyRequests, "ApplicationThrottled", "Application is over its MailboxConcurrency limit."}
	}
	defer s.record.leaveGraph(m.Mailbox)
	if sleep(r.Context(), s.opt.DataLatency) != nil {
		panic(http.ErrAbortHandler) // nobody is there to be told
	}
	if !taken {
		s.take(m)
	}
	return nil
}

func (r *record) enterGraph(mailbox string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.graph[strings.ToLower(mailbox)] >= graphConcurrency {
		r.counters.GraphThrottled++
		return false
	}
	r.graph[strings.ToLower(mailbox)]++
	return true
}

func (r *record) leaveGraph(mailbox string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.graph[strings.ToLower(mailbox)]--
}

// graphMessage checks a request in the order Graph does: the token, the mailbox, the size, the message.
func (s *Server) graphMessage(r *http.Request, text []byte, readErr error) (Message, *graphError) {
	mailbox, refused := s.graphMailbox(r)
	if refused != nil {
		return Message{}, refused
	}
	if refused := bodyError(r, readErr); refused != nil {
		return Message{}, refused
	}
	m := Message{Mailbox: mailbox, Mechanism: "Bearer", Via: "graph", Data: text}
	if refused := m.readHeader(mailbox); refused != nil {
		return Message{}, refused
	}
	if !s.opt.maySendAs(mailbox, m.Sender) {
		return Message{}, &graphError{http.StatusForbidden, "ErrorSendAsDenied", "The user account which was used to submit this request does not have the right to send mail on behalf of the specified sending account., Cannot submit message."}
	}
	return m, nil
}

// graphMailbox returns the mailbox that the request may send from.
func (s *Server) graphMailbox(r *http.Request) (string, *graphError) {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		return "", &graphError{http.StatusUnauthorized, "InvalidAuthenticationToken", "Access token is empty."}
	}
	a := s.entra.lookup(token)
	switch {
	case a == nil:
		return "", &graphError{http.StatusUnauthorized, "InvalidAuthenticationToken", "Access token has expired or is not yet valid."}
	case a.audience != graphHost:
		return "", &graphError{http.StatusUnauthorized, "InvalidAuthenticationToken", "Access token validation failure. Invalid audience."}
	case !a.allows("Mail.Send", graphHost):
		return "", &graphError{http.StatusForbidden, "ErrorAccessDenied", "Access is denied. Check credentials and try again."}
	}
	return s.addressed(r.PathValue("id"), a)
}

// addressed returns the mailbox that the path names; "" is /me, which only a person's token has.
func (s *Server) addressed(mailbox string, a *access) (string, *graphError) {
	switch {
	case mailbox == "" && a.user == "":
		return "", &graphError{http.StatusBadRequest, "BadRequest", "/me request is only valid with delegated authentication flow."}
	case mailbox == "":
		return a.user, nil
	case !s.opt.hasMailbox(mailbox):
		return "", &graphError{http.StatusNotFound, "ErrorInvalidUser", fmt.Sprintf("The requested user '%s' is invalid.", mailbox)}
	}
	return mailbox, nil
}

// bodyError says what is wrong with the body before anybody looks into it.
func bodyError(r *http.Request, err error) *graphError {
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return &graphError{http.StatusRequestEntityTooLarge, "ErrorMessageSizeExceeded", "The message exceeds the maximum supported size."}
	case kind != "text/plain":
		return &graphError{http.StatusUnsupportedMediaType, "UnsupportedMediaType", "The fake takes MIME only: Content-Type must be text/plain."}
	case err != nil:
		return &graphError{http.StatusBadRequest, "ErrorMimeContentInvalidBase64String", "Invalid base64 string for MIME content."}
	}
	return nil
}

// readHeader fills in sender and recipients, which Graph takes from the header and nowhere else.
func (m *Message) readHeader(mailbox string) *graphError {
	parsed, err := mail.ReadMessage(bytes.NewReader(m.Data))
	if err != nil {
		return &graphError{http.StatusBadRequest, "ErrorMimeContentInvalid", "MIME content is invalid."}
	}
	m.Sender = mailbox
	if from := addresses(parsed.Header, "From"); len(from) > 0 {
		m.Sender = from[0]
	}
	for _, field := range []string{"To", "Cc", "Bcc"} {
		m.Recipients = append(m.Recipients, addresses(parsed.Header, field)...)
	}
	if len(m.Recipients) == 0 {
		return &graphError{http.StatusBadRequest, "ErrorInvalidRecipients", "At least one recipient is not valid., A message can't be sent because it contains no recipients."}
	}
	return nil
}

// addresses returns the addresses of every field of that name. Names in unknown charsets are none of our business,
// and what does not parse has no address.
func addresses(h mail.Header, field string) (all []string) {
	parser := mail.AddressParser{WordDecoder: &mime.WordDecoder{
		CharsetReader: func(_ string, in io.Reader) (io.Reader, error) { return in, nil },
	}}
	for _, value := range h[field] {
		list, err := parser.ParseList(value)
		if err != nil {
			continue
		}
		for _, a := range list {
			all = append(all, a.Address)
		}
	}
	return all
}

// writeGraphError answers in Graph's form.
func writeGraphError(w http.ResponseWriter, r *http.Request, e graphError) {
	id, now := newGUID(), time.Now().UTC().Format("2006-01-02T15:04:05")
	if e.status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="", authorization_uri="https://login.microsoftonline.com/common/oauth2/authorize", client_id="00000003-0000-0000-c000-000000000000"`)
	}
	if e.status == http.StatusTooManyRequests {
		w.Header().Set("Retry-After", "1")
	}
	w.Header().Set("request-id", id)
	writeJSON(w, e.status, map[string]any{"error": map[string]any{
		"code": e.code, "message": e.message,
		"innerError": map[string]string{"date": now, "request-id": id, "client-request-id": orElse(r.Header.Get("client-request-id"), id)},
	}})
}
